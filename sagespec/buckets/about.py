"""What is known of an object besides its content: ETag, type, metadata, tags, checksums.

Kept in a side file for each key, outside of the bucket's tree. A side file holds the object that is there and the
one that takes its place; which of them it is, the content's size and time say. So a write needs no more than two
renames, first of the side file, then of the content, and between them the old object is still whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class About:
    """etag: the MD5, or of an upload in parts S3's `…-N`. stamp: the content's mtime_ns. headers: content-type and
    its kin, metadata: x-amz-meta-*, both by lower-case name. checksums: base64, by algorithm."""

    etag: str
    size: int
    stamp: int
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Tags = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"


@dataclass(frozen=True)
class Side:
    """A side file: the key, since its name is only a hash of it, and what may be there."""

    key: str
    known: tuple[About, ...]

    def of(self, size: int, stamp: int) -> About | None:
        return next((about for about in self.known if (about.size, about.stamp) == (size, stamp)), None)

    def text(self) -> bytes:
        return json.dumps({"key": self.key, "known": [asdict(about) for about in self.known]}).encode()


def read_side(text: bytes) -> Side | None:
    """None for what no release of ours has written: its content is looked at instead."""
    try:
        found = json.loads(text)
        return Side(str(found["key"]), tuple(map(_about, found["known"])))
    except (ValueError, KeyError, TypeError):
        return None


_FIELDS = {field.name for field in fields(About)}


def _about(found: Mapping[str, Any]) -> About:
    given = {name: value for name, value in found.items() if name in _FIELDS}
    return About(**{**given, "tags": _tags(given.get("tags", ()))})


def _tags(found: Sequence[Sequence[str]]) -> Tags:
    return tuple((str(name), str(value)) for name, value in found)
