"""Secrets where they are kept: secrets.py is the door, asking.py and aws.py ask, versions.py tells two apart."""
