"""Specs to `Desired`: programs chosen, paths made portable, keys and hashes computed. `resolve` is the door."""
