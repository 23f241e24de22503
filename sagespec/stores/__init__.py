"""Stores behind one protocol: `protocol`, `open`, `keys`, `directory`, `s3`."""
