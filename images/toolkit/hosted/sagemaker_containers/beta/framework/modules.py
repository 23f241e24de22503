"""Imported by many scripts, and used by none: our own toolkit imports the script."""
