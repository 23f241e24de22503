"""Folders of your own: `files` (what is in one), `build` (what a build is sent of it)."""
