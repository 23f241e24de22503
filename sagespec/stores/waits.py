"""Says what is waited for, once that takes long: a server that takes a request and is silent looks like a hang of ours.

`Parts` puts its store into a `ToldStore`. Uploads and downloads show their own progress.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sagespec.stores.protocol import CountBytes, Entry, Store, Stored

TELL_AFTER_SECONDS = 1.5


class Waits:
    """tell: called with what is waited for, once until it answers."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.tell = tell
        self._told: set[str] = set()
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        timer = threading.Timer(TELL_AFTER_SECONDS, self._tell_once, (what,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except BaseException:
            timer.cancel()
            raise
        timer.cancel()
        with self._one_at_a_time:
            self._told.discard(what)

    def _tell_once(self, what: str) -> None:
        with self._one_at_a_time:
            is_new = what not in self._told
            self._told.add(what)
        if is_new:
            self.tell(f"waiting for {what} to answer")


class ToldStore:
    """`store`, whose silence is told."""

    def __init__(self, store: Store, waits: Waits) -> None:
        self.uri = store.uri
        self._store, self._waits = store, waits

    def read(self, key: str) -> tuple[bytes, str] | None:
        with self._waits.on(self.uri):
            return self._store.read(key)

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        with self._waits.on(self.uri):
            return self._store.read_many(keys)

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        with self._waits.on(self.uri):
            return self._store.write(key, data, if_absent=if_absent, if_match=if_match)

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        return self._store.upload(key, file, progress)

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        self._store.download(key, file, sha256=sha256, progress=progress)

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        return self._store.read_part(key, start, size, if_match=if_match)

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        with self._waits.on(self.uri):
            return self._store.entries(prefix)

    def delete(self, key: str) -> None:
        with self._waits.on(self.uri):
            self._store.delete(key)
