"""A store in one of the project's own buckets: as the bucket is over HTTP, with its ETags, but read from the disk.

Opened by `open_store` where the bucket is there. So that a channel can be mounted and a copy be a link, `folder` and
`file` say where the objects are.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sagespec.buckets.about import About
from sagespec.buckets.layout import Layout
from sagespec.buckets.listing import Asked, all_of, keys_of, page_of
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.writing import Condition, Incoming, delete, incoming, put
from sagespec.errors import WorldError, disk_problem, disk_problems
from sagespec.stores.keys import (
    changed,
    check_key,
    check_sha256,
    input_only,
    input_place,
    missing,
    replacing,
    sha256_of,
)
from sagespec.stores.protocol import CHUNK_BYTES, Conflict, CountBytes, Entry, StoreAway, Stored, UnfitKey


class BucketStore:
    def __init__(self, buckets: Path, bucket: str, prefix: str, *, create: bool = True) -> None:
        self._layout, self._bucket, self._create = Layout(buckets), bucket, create
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._single = self._begins = ""
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")
        if not create:
            with self._problems():
                place = input_place(self.uri, prefix, self._first_key, self._has_objects)
            self._prefix, self._single, self._begins = place.prefix, place.single, place.begins
            if place.begins:
                self.uri = f"s3://{bucket}/{place.prefix}".rstrip("/")

    @property
    def folder(self) -> Path:
        """The folder of the objects whose keys are paths; of a single object its file."""
        if self._single:
            return self.file(self._single)
        return self._layout.bucket(self._bucket) / self._prefix

    def file(self, key: str) -> Path:
        """The file of an object, which is replaced and never changed."""
        path = self._layout.locate(self._bucket, self._prefix + key)
        if path is None:
            raise changed(key, self.uri)
        return path

    # -- reading

    def read(self, key: str) -> tuple[bytes, str] | None:
        with self._opened(key) as found:
            return (found[0].read(), found[1].etag) if found else None

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        found = ((key, self.read(key)) for key in keys)
        return {key: content[0] for key, content in found if content is not None}

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        with self._opened(key) as found:
            if found is None:
                raise missing(key, self.uri)
            with replacing(file) as temporary:
                with temporary.open("wb") as target:
                    stored = _copy(found[0], target, progress)
                check_sha256(stored.sha256, sha256, key=key, uri=self.uri)

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        with self._opened(key) as found:
            is_same = found is not None and found[1].etag == if_match
            part = os.pread(found[0].fileno(), size, start) if found and is_same else b""
        if len(part) != size:
            raise changed(key, self.uri)
        return part

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        begins = self._prefix + (self._single or self._begins or prefix)
        with self._problems():
            listed = [
                (one.key.removeprefix(self._prefix), one.about) for one in all_of(self._layout, self._bucket, begins)
            ]
        found = [
            Entry(key, about.size, about.etag, about.stamp / 1e9)
            for key, about in listed
            if key and not key.endswith("/")
        ]
        if self._single:
            found = [entry for entry in found if entry.key == self._single]
        for entry in found:
            check_key(entry.key, self.uri)
        return tuple(sorted(entry for entry in found if entry.key.startswith(prefix)))

    # -- writing

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        with self._incoming(key) as content:
            md5 = hashlib.md5(usedforsecurity=False)
            _copy(io.BytesIO(data), content.stream, None, md5)
            return self._put(key, content, md5.hexdigest(), Condition(if_absent, if_match))

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        with disk_problems(f"cannot read {file}"):
            source = file.open("rb")
        with source, self._incoming(key) as content:
            md5 = hashlib.md5(usedforsecurity=False)
            stored = _copy(source, content.stream, progress, md5)
            if (found := sha256_of(content.path)) != stored.sha256:
                raise WorldError(
                    f"{self.uri}/{key} was written with SHA-256 {stored.sha256} but read back with {found}",
                    fix="check the disk (dmesg, smartctl), or use another store",
                )
            self._put(key, content, md5.hexdigest(), Condition())
        return stored

    def delete(self, key: str) -> None:
        full = self._key_to_write(key)
        with self._problems(key):
            delete(self._layout, self._bucket, full)

    # -- places

    def _first_key(self, prefix: str) -> str | None:
        return next((key for key, _ in keys_of(self._layout, self._bucket, Asked(prefix))), None)

    def _has_objects(self, prefix: str) -> bool:
        return bool(page_of(self._layout, self._bucket, Asked(prefix, "/")).objects)

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[BinaryIO, About] | None]:
        check_key(key, self.uri)
        with self._problems(key):
            found = self._layout.open(self._bucket, self._prefix + key)
            try:
                yield found
            finally:
                if found:
                    found[0].close()

    def _key_to_write(self, key: str) -> str:
        if not self._create:
            raise input_only(self.uri)
        return self._prefix + check_key(key, self.uri)

    @contextmanager
    def _incoming(self, key: str) -> Iterator[Incoming]:
        self._key_to_write(key)
        with self._problems(key), incoming(self._layout) as content:
            yield content

    def _put(self, key: str, content: Incoming, etag: str, condition: Condition) -> str:
        try:
            return put(
                self._layout, self._bucket, self._prefix + key, content, etag=etag, condition=condition
            ).etag  # fmt: skip
        except Refusal as refusal:
            if condition.if_absent and refusal.status == _LOST:
                raise Conflict(f"{self.uri}/{key} already exists") from refusal
            if condition.if_match is not None and (refusal.status == _LOST or refusal.code == "NoSuchKey"):
                raise Conflict(f"{self.uri}/{key} was changed or removed by someone else") from refusal
            raise

    @contextmanager
    def _problems(self, key: str = "") -> Iterator[None]:
        place = f"{self.uri}/{key}" if key else self.uri
        try:
            yield
        except Refusal as refusal:
            if isinstance(refusal.__cause__, OSError):
                raise StoreAway(disk_problem(refusal.__cause__, f"cannot write {place}").problems) from refusal
            kind = UnfitKey if refusal.code == "KeyTooLongError" else WorldError
            raise kind(f"{place}: {refusal.message}") from refusal
        except OSError as error:
            raise StoreAway(disk_problem(error, f"cannot read or write {place}").problems) from error


_LOST = 412


def _copy(source: BinaryIO, target: BinaryIO, progress: CountBytes | None, md5: hashlib._Hash | None = None) -> Stored:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        if md5:
            md5.update(chunk)
        view = memoryview(chunk)
        while view:  # a raw file writes as much as it can
            view = view[target.write(view) :]
        size += len(chunk)
        if progress:
            progress(len(chunk))
    return Stored(size, digest.hexdigest())
