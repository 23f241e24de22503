"""A `Store` in memory; passes the contract suite of the real ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.stores.keys import changed, check_key, check_sha256, missing
from sagespec.stores.protocol import Conflict, CountBytes, Entry, Stored
from tests.fakes.faults import Faults

_STORE_LOCK = threading.Lock()  # of all, since several may share their objects


class FakeStore:
    """Objects in memory. `objects` may be shared by several stores, as a bucket is."""

    uri = "file:///fake"

    def __init__(self, objects: dict[str, bytes] | None = None, faults: Faults | None = None) -> None:
        self.objects: dict[str, bytes] = {} if objects is None else objects
        self.faults = faults or Faults()
        self._lock = _STORE_LOCK

    def _etag(self, key: str) -> str | None:
        return hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest() if key in self.objects else None

    def read(self, key: str) -> tuple[bytes, str] | None:
        self.faults.look()
        check_key(key, self.uri)
        with self._lock:
            etag = self._etag(key)
            return (self.objects[key], etag) if etag else None

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        found = ((key, self.read(key)) for key in keys)
        return {key: content[0] for key, content in found if content}

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        check_key(key, self.uri)
        with self.faults.effect(f"store {key}"), self._lock:
            present = self._etag(key)
            if if_absent and present:
                raise Conflict(f"{self.uri}/{key} already exists")
            if if_match is not None and present != if_match:
                raise Conflict(f"{self.uri}/{key} has changed")
            self.objects[key] = data
            return self._etag(key) or ""

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        check_key(key, self.uri)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise WorldError(f"cannot read {file}: {error.strerror}") from error
        with self.faults.effect(f"upload {key}"), self._lock:
            self.objects[key] = data
        if progress and data:
            progress(len(data))
        return Stored(len(data), hashlib.sha256(data).hexdigest())

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        content = self.read(key)
        if content is None:
            raise missing(key, self.uri)
        check_sha256(hashlib.sha256(content[0]).hexdigest(), sha256, key=key, uri=self.uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[0])
        if progress and content[0]:
            progress(len(content[0]))

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        content = self.read(key)
        if content is None or content[1] != if_match or len(content[0]) < start + size:
            raise changed(key, self.uri)
        return content[0][start : start + size]

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        self.faults.look()
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix))
            return tuple(Entry(key, len(self.objects[key]), self._etag(key) or "") for key in keys)

    def delete(self, key: str) -> None:
        check_key(key, self.uri)
        with self.faults.effect(f"delete {key}"), self._lock:
            self.objects.pop(key, None)
