"""Opens a store by its address. Each kind is imported only when it is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sagespec.buckets.layout import Layout, folder_of
from sagespec.buckets.names import is_bucket_name
from sagespec.errors import WorldError
from sagespec.stores.protocol import Store


def open_store(uri: str, *, root: Path | None = None, create: bool = True) -> Store:
    """The store at `uri`: s3://bucket/prefix, file:///path, file://relative or a path (relative to `root`).

    A bucket that the project in `root` has as a folder is that folder; any other is S3's. create=False opens an input:
    the place must exist, and is never written to. SDKs are imported here, late. With create=True nothing is touched
    before the first write. Paths are taken as they stand (no %20), but for a leading ~.
    """
    if uri.startswith("s3://"):
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return _open_bucket(bucket, prefix, folder_of(root) if root else None, create=create)
    if "://" in uri and not uri.startswith("file://"):
        raise WorldError(f"{uri} is not an address of a store", fix="use s3://bucket/prefix, file:///path or a path")
    from sagespec.stores.directory import DirectoryStore

    path = Path(uri.removeprefix("file://")).expanduser()
    return DirectoryStore((root or Path.cwd()) / path, create=create)


def _open_bucket(bucket: str, prefix: str, buckets: Path | None, *, create: bool) -> Store:
    if buckets and Layout(buckets).has(bucket):
        from sagespec.stores.bucket import BucketStore

        return BucketStore(buckets, bucket, prefix, create=create)
    from sagespec.stores.s3 import S3Store

    try:
        return S3Store(bucket, prefix, create=create)
    except WorldError as error:
        if buckets is None or not is_bucket_name(bucket):
            raise
        problem = error.problems[0]
        fix = f"{problem.fix}; if it is meant to be a bucket of this project, make the folder {buckets / bucket}"
        raise type(error)(replace(problem, fix=fix)) from error
