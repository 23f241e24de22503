"""S3 over HTTP for the buckets of `sagespec.buckets`: `app` is the way in."""
