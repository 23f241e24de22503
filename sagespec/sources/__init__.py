"""Folders of your own: `files` (what a folder contains), `build` (what of it is sent to a build)."""
