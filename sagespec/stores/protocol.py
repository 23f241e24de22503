"""The Store protocol: keys and bytes.

Called by `records`, `inputs` and `run` (models out, inputs in). `directory.py` and `s3.py` implement it, and one
contract suite is run against both. A key is a relative path with forward slashes; `records` decides what is kept
under which key.

Every method may raise WorldError (bucket missing, access refused), naming the address and what to check, and of these
StoreAway where the store may do it later (endpoint unreachable, disk full).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sagespec.errors import WorldError

CountBytes = Callable[[int], None]  # called with the number of further bytes moved
CHUNK_BYTES = 1 << 20


class Conflict(WorldError):
    """A conditional write lost: the key exists (if_absent), or has changed (if_match)."""


class UnfitKey(WorldError):
    """No object can have this key, now or later."""


class StoreAway(WorldError):
    """The store does not answer, or answers nonsense, or cannot be read or written as a whole: later it may."""


@dataclass(frozen=True, order=True)
class Entry:
    """One object. `etag` changes whenever the content does (S3's ETag, or 'size-mtime_ns' for a file).

    modified_at: in seconds since 1970; 0 where nothing tells.
    """

    key: str
    size: int
    etag: str
    modified_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Stored:
    """What an upload left in the store: bytes and the hex SHA-256 of the content."""

    size: int
    sha256: str


class Store(Protocol):
    uri: str  # file:///abs/path or s3://bucket/prefix, without a trailing slash

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Content and ETag of a small object; None when it does not exist."""
        ...

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of those small objects that exist, fetched in parallel where that helps."""
        ...

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write a small object whole (a reader sees the old or the new, never a part); its new ETag.

        Conflict when `if_absent` and it exists, or when `if_match` is not its present ETag. Over a network a
        write may be made and its answer lost; the repeat then meets its own result and says Conflict. A
        caller for whom that matters reads the object back and looks whether it is its own.
        """
        ...

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        """Store a file of any size: in parts, checksum verified, whole or not at all."""
        ...

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
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
        """Remove an object; one that is missing is fine."""
        ...
