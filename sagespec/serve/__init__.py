"""The life of containers that stay: `start`, `health`, `leave`, and the `revisions` that record them."""
