"""Data to containers: `channels` (what is in one), `cache` (what was fetched), `delivery` (mounted, copied or
fed), `pipes` (feeders), `views` (folders of links), `headers` (the names of a table's columns).
"""
