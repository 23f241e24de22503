"""Objects and buckets put, replaced and removed: whole or not at all, whatever is killed on the way.

Content arrives in a file of `.incoming`, flocked while it is written, and is then renamed to its key under the
layout's lock, where the write's condition is looked at. What a killed process left there is removed by the next write.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from sagespec.buckets.about import About, Side, Tags
from sagespec.buckets.layout import Layout, flush_folder, make_plain_folder, read_about
from sagespec.buckets.names import check_key, is_plain
from sagespec.buckets.refusals import Refusal, disk_full, failed_condition, no_such_bucket, no_such_key
from sagespec.private import make_folder

_SWEEP_AFTER_SECONDS = 60.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Condition:
    """Of a write: nothing may be there, or exactly this ETag."""

    if_absent: bool = False
    if_match: str | None = None


@dataclass(frozen=True)
class Described:
    """What a client says of an object that it writes."""

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Tags = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"


@dataclass
class Incoming:
    """Content on its way."""

    path: Path
    stream: BinaryIO

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:  # a raw file writes as much as it can
            view = view[self.stream.write(view) :]


# -- buckets -----------------------------------------------------------------------------------------------------------


def make_bucket(layout: Layout, bucket: str) -> None:
    """Again for one that is there, as S3 has it in us-east-1."""
    path = layout.bucket(bucket)
    with disk_refusals(f"the bucket {bucket}"), layout.exclusive():
        make_plain_folder(path)
        layout.side_folder(bucket).mkdir(parents=True, exist_ok=True)
        (layout.side_folder(bucket) / "made").touch()


def remove_bucket(layout: Layout, bucket: str) -> None:
    """`BucketNotEmpty` while it has an object."""
    with layout.exclusive():
        path = layout.require(bucket)
        if any(files or _links(Path(above), folders) for above, folders, files in os.walk(path)) or _has_any(
            layout.aside_folder(bucket)
        ):
            raise Refusal("BucketNotEmpty", f"The bucket {bucket} has objects: remove them first.", 409)
        shutil.rmtree(path)
        for folder in (layout.side_folder(bucket), layout.aside_folder(bucket)):
            shutil.rmtree(folder, ignore_errors=True)


def buckets_of(layout: Layout) -> Iterator[tuple[str, float]]:
    """Names in order, and when they were made."""
    with suppress(FileNotFoundError):
        for path in sorted(layout.root.iterdir()):
            if layout.has(path.name):
                made = layout.side_folder(path.name) / "made"
                yield path.name, (made if made.exists() else path).stat().st_mtime


def _links(above: Path, folders: list[str]) -> bool:
    return any((above / name).is_symlink() for name in folders)


def _has_any(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


# -- objects -----------------------------------------------------------------------------------------------------------


@contextmanager
def incoming(layout: Layout) -> Iterator[Incoming]:
    """A file to write content to; removed afterwards unless `put` has given it a name."""
    folder = layout.root / ".incoming"
    with disk_refusals("what is being written"):
        make_folder(folder)
        _sweep(folder)
        path = folder / secrets.token_hex(16)
        with path.open("x+b", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            try:
                yield Incoming(path, stream)
            finally:
                path.unlink(missing_ok=True)


def put(
    layout: Layout,
    bucket: str,
    key: str,
    content: Incoming,
    *,
    etag: str,
    described: Described | None = None,
    condition: Condition | None = None,
) -> About:
    """Give the content its key, if the condition holds."""
    check_key(key)
    said = described or Described()
    stamp = time.time_ns()
    with disk_refusals(f"{bucket}/{key}"):
        os.fchmod(content.stream.fileno(), 0o644)
        os.utime(content.stream.fileno(), ns=(stamp, stamp))  # tells two writes of one size apart
        os.fsync(content.stream.fileno())
        status = os.fstat(content.stream.fileno())
        about = About(
            etag, status.st_size, status.st_mtime_ns, said.headers, said.metadata, said.tags, said.checksums,
            said.checksum_type,
        )  # fmt: skip
        with layout.exclusive():
            if not layout.has(bucket):
                raise no_such_bucket(bucket)
            found = layout.locate(bucket, key)
            _check(layout, bucket, key, found, condition or Condition())
            present = Side(key, layout.known(bucket, key)).of(*_stamp_of(found)) if found else None
            layout.write_side(bucket, Side(key, (about, present) if present else (about,)))
            target = _place(layout, bucket, key, found)
            content.path.rename(target)
            layout.link(bucket, key).unlink(missing_ok=True)
    flush_folder(target.parent)
    return about


def describe(layout: Layout, bucket: str, key: str, tags: Tags) -> None:
    """Other tags for the object that is there."""
    found = layout.find(bucket, key)
    if found is None:
        raise no_such_key(key)
    with disk_refusals(f"the tags of {bucket}/{key}"), layout.exclusive():
        layout.write_side(bucket, Side(key, (replace(found.about, tags=tags),)))


def delete(layout: Layout, bucket: str, key: str, condition: Condition | None = None) -> None:
    """Remove an object; one that is missing is fine."""
    check_key(key)
    with disk_refusals(f"{bucket}/{key}"), layout.exclusive():
        layout.require(bucket)
        found = layout.locate(bucket, key)
        _check(layout, bucket, key, found, condition or Condition())
        if found is None:
            return
        link = layout.link(bucket, key)
        (link if found not in (layout.root / bucket / key, layout.aside(bucket, key)) else found).unlink(
            missing_ok=True
        )
        link.unlink(missing_ok=True)
        layout.side(bucket, key).unlink(missing_ok=True)
        _remove_empty(found.parent, layout.root / bucket)


def _check(layout: Layout, bucket: str, key: str, found: Path | None, condition: Condition) -> None:
    if condition.if_absent and found is not None:
        raise failed_condition("If-None-Match")
    if condition.if_match is None:
        return
    if found is None:
        raise no_such_key(key)
    about = layout.recorded(bucket, key, found, found.stat()) or read_about(found)
    if condition.if_match not in ("*", about.etag):
        raise failed_condition("If-Match")


def _stamp_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _place(layout: Layout, bucket: str, key: str, found: Path | None) -> Path:
    """Where the content goes: to the key as a path if that can be, else aside, and always to where it is already."""
    aside = layout.aside(bucket, key)
    if found != aside and is_plain(key) and _can_be(layout.root / bucket, key):
        return layout.root / bucket / key
    make_folder(aside.parent)
    return aside


def _can_be(bucket: Path, key: str) -> bool:
    """Make the folders of a key. False where one of them is a file or a link, or the key's own place is a folder."""
    *folders, name = key.split("/")
    here = bucket
    for folder in folders:
        here /= folder
        make_plain_folder(here)
        if here.is_symlink() or not here.is_dir():
            _remove_empty(here.parent, bucket)
            return False
    return not (here / name).is_symlink() and not (here / name).is_dir()


def _remove_empty(folder: Path, bucket: Path) -> None:
    """S3 has no folders: one without objects is no more."""
    while bucket in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for path in folder.iterdir():
        # Its writer holds the lock (BlockingIOError); it may also have been renamed or swept by now.
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as stream:
            if time.time() - os.fstat(stream.fileno()).st_mtime > _SWEEP_AFTER_SECONDS:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


@contextmanager
def disk_refusals(what: str) -> Iterator[None]:
    """A full disk refuses; other troubles of it are not the client's."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(f"{what} cannot be written, {error.strerror}") from error
        raise
