"""Folders of the user's: `files` (what is in one), `build` (what of it a build is sent)."""
