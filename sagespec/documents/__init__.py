"""Specs that sagespec writes for somebody: as text, and as files."""
