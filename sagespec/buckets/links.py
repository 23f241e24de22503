"""Keys under which files of the store are read, without a copy: a job's model at the address that SageMaker gives it.

A link is a record of ours, no link of the file system. What is written to its key, or removed there, touches the
record alone, never the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sagespec.buckets.layout import Layout, make_plain_folder, write_whole
from sagespec.buckets.names import check_key
from sagespec.buckets.refusals import Refusal
from sagespec.errors import InternalError, WorldError


def link(root: Path, bucket: str, key: str, target: Path, *, store: Path, sha256: str = "") -> None:
    """Let the object `key` of `bucket` be the file `target` of the store; again, where it is that already.

    root: where the buckets are (`folder_of`). The bucket is made if it is missing. sha256: of the file, where it is
    known; its ETag then is the same wherever the store lies.
    """
    layout = Layout(root)
    inside, whole = store.resolve(), target.resolve()
    if inside not in whole.parents:
        raise WorldError(f"{target} cannot be s3://{bucket}/{key}: it is not in the store, {store}")
    try:
        check_key(key)
        path = layout.bucket(bucket)
    except Refusal as refusal:
        raise InternalError(f"s3://{bucket}/{key}: {refusal.message}") from refusal
    record = layout.link(bucket, key)
    said = {"key": key, "target": str(whole), "sha256": sha256}
    with layout.exclusive():
        make_plain_folder(path)
        write_whole(record, json.dumps(said).encode())


def unlink(root: Path, bucket: str, key: str) -> None:
    """Forget a link; what has been written to its key meanwhile stays."""
    layout = Layout(root)
    if layout.has(bucket):
        with layout.exclusive():
            layout.link(bucket, key).unlink(missing_ok=True)
            if not any(os.path.lexists(path) for path in (layout.bucket(bucket) / key, layout.aside(bucket, key))):
                layout.side(bucket, key).unlink(missing_ok=True)
