"""Uploads in parts: each a folder of `.uploads` with what was said at its begin and a file for each part.

Completing one puts the parts together into one content, which takes its key as any other does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sagespec.buckets.about import About
from sagespec.buckets.checksums import can_be_combined, combined, of_parts
from sagespec.buckets.layout import Layout, write_whole
from sagespec.buckets.names import check_key
from sagespec.buckets.refusals import Refusal, no_such_upload
from sagespec.buckets.writing import Condition, Described, Incoming, disk_refusals, incoming, put

MOST_PARTS = 10_000
_SMALLEST_PART = 5 << 20  # of all but the last
_AT_ONCE = 1 << 30
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Upload:
    """checksum: the algorithm that its parts have, '' for none."""

    id: str
    bucket: str
    key: str
    begun: float
    described: Described
    checksum: str = ""
    checksum_type: str = ""


@dataclass(frozen=True)
class Part:
    number: int
    etag: str
    size: int
    written: float
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claimed:
    """A part as the client names it when it completes the upload."""

    number: int
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)


def begin(layout: Layout, bucket: str, key: str, described: Described, *, checksum: str, checksum_type: str) -> Upload:
    layout.require(bucket)
    check_key(key)
    upload = Upload(secrets.token_hex(16), bucket, key, time.time(), described, checksum, checksum_type)
    folder = _folder(layout, upload.id)
    with disk_refusals("the upload"):
        write_whole(folder / "upload.json", json.dumps(asdict(upload)).encode())
    return upload


def upload_of(layout: Layout, bucket: str, key: str, upload_id: str) -> Upload:
    upload = _read(layout, upload_id)
    if upload is None or (upload.bucket, upload.key) != (bucket, key):
        raise no_such_upload(upload_id)
    return upload


def uploads_of(layout: Layout, bucket: str) -> list[Upload]:
    layout.require(bucket)
    folder = layout.root / ".uploads"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = (_read(layout, name) for name in names)
    return sorted((one for one in found if one and one.bucket == bucket), key=lambda one: (one.key, one.begun))


def put_part(
    layout: Layout, upload: Upload, number: int, content: Incoming, *, etag: str, checksums: dict[str, str]
) -> Part:
    """Keep a part; one of the same number before is replaced."""
    if not 1 <= number <= MOST_PARTS:
        raise Refusal("InvalidArgument", f"A part's number is 1 to {MOST_PARTS:,}, not {number}.")
    part = Part(number, etag, os.fstat(content.stream.fileno()).st_size, time.time(), checksums)
    folder = _folder(layout, upload.id)
    # The record names its file: a part that is replaced while another is written is still one or the other.
    file = folder / f"{number}-{secrets.token_hex(4)}"
    with disk_refusals("a part of the upload"), layout.exclusive():
        before = _parts(folder).get(number)
        try:
            content.path.rename(file)
        except FileNotFoundError as error:
            raise no_such_upload(upload.id) from error
        write_whole(folder / f"{number}.json", json.dumps({**asdict(part), "file": file.name}).encode())
        if before:
            (folder / before[1]).unlink(missing_ok=True)
    return part


def parts_of(layout: Layout, upload: Upload) -> list[Part]:
    return [part for _, (part, _) in sorted(_parts(_folder(layout, upload.id)).items())]


def complete(
    layout: Layout, upload: Upload, claimed: Sequence[Claimed], *, condition: Condition, whole: dict[str, str]
) -> About:
    """Put the parts together under the upload's key. whole: the checksums that the client says all of it has."""
    folder = _folder(layout, upload.id)
    parts = _chosen(_parts(folder), claimed)
    digest = hashlib.md5(usedforsecurity=False)
    for part, _ in parts:
        digest.update(bytes.fromhex(part.etag))
    checksums, kind = _checksums(upload, [part for part, _ in parts])
    for algorithm, said in whole.items():
        if algorithm in checksums and checksums[algorithm] not in (said, f"{said}-{len(parts)}"):
            raise Refusal("BadDigest", f"The {algorithm.upper()} of the whole is not the one that was said.")
    described = Described(
        upload.described.headers, upload.described.metadata, upload.described.tags, checksums, kind
    )  # fmt: skip
    with incoming(layout) as content:
        for _, name in parts:
            try:
                _append(folder / name, content)
            except FileNotFoundError as error:  # completed or aborted by someone else meanwhile
                raise no_such_upload(upload.id) from error
        about = put(
            layout,
            upload.bucket,
            upload.key,
            content,
            etag=f"{digest.hexdigest()}-{len(parts)}",
            described=described,
            condition=condition,
        )
    shutil.rmtree(folder, ignore_errors=True)
    return about


def abort(layout: Layout, upload: Upload) -> None:
    shutil.rmtree(_folder(layout, upload.id), ignore_errors=True)


def _chosen(parts: dict[int, tuple[Part, str]], claimed: Sequence[Claimed]) -> list[tuple[Part, str]]:
    if not claimed:
        raise Refusal("MalformedXML", "An upload is completed with at least one part.")
    numbers = [one.number for one in claimed]
    if numbers != sorted(set(numbers)):
        raise Refusal("InvalidPartOrder", "The parts are not in the order of their numbers.")
    chosen: list[tuple[Part, str]] = []
    for one in claimed:
        part, name = parts.get(one.number, (None, ""))
        if (
            part is None
            or part.etag != one.etag
            or any(part.checksums.get(n, v) != v for n, v in one.checksums.items())
        ):
            raise Refusal("InvalidPart", f"Part {one.number} was not uploaded, or has another ETag or checksum.")
        chosen.append((part, name))
    if any(part.size < _SMALLEST_PART for part, _ in chosen[:-1]):
        raise Refusal("EntityTooSmall", "All parts but the last have at least 5 MiB.")
    return chosen


def _checksums(upload: Upload, parts: list[Part]) -> tuple[dict[str, str], str]:
    """Of the whole, where each part has one."""
    name = upload.checksum
    if not name or any(name not in part.checksums for part in parts):
        return {}, "FULL_OBJECT"
    if upload.checksum_type == "FULL_OBJECT" and can_be_combined(name):
        return {name: combined(name, [(part.checksums[name], part.size) for part in parts])}, "FULL_OBJECT"
    return {name: of_parts(name, [part.checksums[name] for part in parts])}, "COMPOSITE"


def _append(file: Path, content: Incoming) -> None:
    """In the kernel where it can, which on some disks only notes where the bytes are."""
    with file.open("rb", buffering=0) as source:
        if not hasattr(os, "copy_file_range"):
            shutil.copyfileobj(source, content.stream, _CHUNK_BYTES)
            return
        left = os.fstat(source.fileno()).st_size
        while left:
            moved = os.copy_file_range(source.fileno(), content.stream.fileno(), min(left, _AT_ONCE))
            if not moved:
                raise OSError(f"{file} was cut while it was read")
            left -= moved


def _folder(layout: Layout, upload_id: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{32}", upload_id):
        raise no_such_upload(upload_id)
    return layout.root / ".uploads" / upload_id


def _read(layout: Layout, upload_id: str) -> Upload | None:
    try:
        found: dict[str, Any] = json.loads((_folder(layout, upload_id) / "upload.json").read_bytes())
        said = found.pop("described")
        tags = tuple((name, value) for name, value in said.pop("tags"))
        return Upload(**found, described=Described(**said, tags=tags))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parts(folder: Path) -> dict[int, tuple[Part, str]]:
    """The parts that are there, by number, and the names of their files."""
    return {part.number: (part, name) for part, name in _read_parts(folder)}


def _read_parts(folder: Path) -> Iterator[tuple[Part, str]]:
    for record in folder.glob("[0-9]*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(record.read_bytes())
            name = str(found.pop("file"))
            yield Part(**found), name
