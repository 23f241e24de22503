"""Buckets kept as folders: `names`, `about`, `layout`, `listing`, `writing`, `links`, `uploads`, and the rest."""
