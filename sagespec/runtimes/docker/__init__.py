"""Containers of a Docker engine. `runtime` is the door."""
