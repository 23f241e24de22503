"""Imported by many scripts, and used by none: our own server calls the handlers."""
