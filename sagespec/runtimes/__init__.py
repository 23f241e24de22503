"""Engines behind one protocol: `protocol`, `choose`, `machine`, and one folder an engine with the same file
names in each.
"""
