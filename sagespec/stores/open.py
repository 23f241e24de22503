"""Opens a store by its address. Each kind is imported only when it is chosen."""

from __future__ import annotations

from pathlib import Path

from sagespec.errors import WorldError
from sagespec.stores.protocol import Store


def open_store(uri: str, *, root: Path | None = None, create: bool = True) -> Store:
    """The store at `uri`: s3://bucket/prefix, file:///path, file://relative or a path (relative to `root`).

    create=False opens an input: the place must exist, and is never written to. SDKs are imported here, late.
    With create=True nothing is touched before the first write. Paths are taken as they stand (no %20), but
    for a leading ~.
    """
    if uri.startswith("s3://"):
        from sagespec.stores.s3 import S3Store

        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix, create=create)
    if "://" in uri and not uri.startswith("file://"):
        raise WorldError(f"{uri} is not an address of a store", fix="use s3://bucket/prefix, file:///path or a path")
    from sagespec.stores.directory import DirectoryStore

    path = Path(uri.removeprefix("file://")).expanduser()
    return DirectoryStore((root or Path.cwd()) / path, create=create)
