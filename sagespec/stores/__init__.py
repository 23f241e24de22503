"""The Store protocol: keys and bytes, and the choice of a store by its address.

Called by `records`, `lock`, `train` (models out, inputs in). `directory.py` and `s3.py` implement it
and pass one contract suite. A key is a relative path with forward slashes. What lies under which key
is `records`' affair.

Every method may raise WorldError (bucket missing, access refused, endpoint unreachable, disk full),
naming the address and what to check.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sagespec.errors import InternalError, WorldError, disk_problems

Progress = Callable[[int], None]  # called with the number of further bytes moved

CHUNK_BYTES = 1 << 20


class Conflict(WorldError):
    """A conditional write lost: the key exists (if_absent), or has changed (if_match)."""


@dataclass(frozen=True, order=True)
class Entry:
    """One object. `etag` changes whenever the content does (S3's ETag, or 'size-mtime_ns' for a file)."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class Stored:
    """What an upload left in the store: bytes and the hex SHA-256 of the content."""

    size: int
    sha256: str


class Store(Protocol):
    uri: str  # file:///abs/path or s3://bucket/prefix, without a trailing slash

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Content and ETag of a small object; None when it is not there."""
        ...

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of those small objects that are there, fetched side by side where that helps."""
        ...

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write a small object whole (a reader sees the old or the new, never a part); its new ETag.

        Conflict when `if_absent` and it exists, or when `if_match` is not its present ETag. Over a network a
        write may be made and its answer lost; the repeat then meets its own result and says Conflict. A
        caller for whom that matters reads the object back and looks whether it is its own.
        """
        ...

    def upload(self, key: str, file: Path, progress: Progress | None = None) -> Stored:
        """Store a file of any size: in parts, checksum verified, whole or not at all."""
        ...

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: Progress | None = None) -> None:
        """Fetch an object to `file` (temporary name, then renamed), making its folder when it is not there.

        WorldError when the object is missing or its checksum differs.
        """
        ...

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        """`size` bytes (at least 1) of an object from the byte `start` on, all of them inside it.

        Conflict when its ETag is no longer `if_match`: parts of two contents must never be put together.
        """
        ...

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        """All objects whose key begins with `prefix`, sorted by key; the keys as `read` takes them.

        For a store that was opened on a single object (an input file), one entry with its base name.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; not there is fine."""
        ...


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
        raise WorldError(
            f"{uri} is not a place sagespec can keep things", fix="use s3://bucket/prefix, file:///path or a path"
        )
    from sagespec.stores.directory import DirectoryStore

    path = Path(uri.removeprefix("file://")).expanduser()
    return DirectoryStore((root or Path.cwd()) / path, create=create)


# -- what both stores need ---------------------------------------------------------------------------

# Control characters and halves of surrogate pairs: a name with these fits neither into JSON nor into a URL.
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_key(key: str, uri: str) -> str:
    """`key` itself when it is a relative path that stays inside the store; WorldError otherwise.

    Names of inputs become files in a container, so what would leave its folder is refused here once, for
    what is listed as well as for what is asked.
    """
    parts = key.split("/")
    if _UNFIT.search(key) or any(part in ("", ".", "..") for part in parts):
        raise WorldError(
            f"{key!r} in {uri} cannot be used as a file name",
            why="a key is a relative path without empty parts, '.', '..' and control characters",
            fix="rename or remove it",
        )
    return key


def input_only(uri: str) -> InternalError:
    return InternalError(f"{uri} was opened as an input and is written to")


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def changed(key: str, uri: str) -> Conflict:
    return Conflict(f"{uri}/{key} was changed or removed while it was read", fix="run again when nobody writes to it")


def check_sha256(found: str, expected: str | None, *, key: str, uri: str) -> None:
    """WorldError when an object's checksum is not the one that was recorded for it (None: nothing was)."""
    if expected is not None and found != expected:
        raise WorldError(
            f"{uri}/{key} is damaged: its SHA-256 is {found}",
            why=f"{expected} was recorded when it was stored",
            fix="restore it from a copy, or train that version again under a new number",
        )


def missing(key: str, uri: str) -> WorldError:
    return WorldError(f"{uri}/{key} is not there", fix="check the address; it may have been removed by hand")


OURS = ".sagespec-"  # begins the names of files that are ours alone and are never listed as objects


def temporary_beside(file: Path) -> Path:
    """A name of ours in the folder of `file` that nobody else has."""
    return file.with_name(f"{OURS}{secrets.token_hex(8)}")


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary path beside `file` that takes its place when the block ends well, and goes when it does not."""
    with disk_problems(f"cannot write {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(file)
        try:
            yield temporary
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
