"""Says what is waited for, once that takes long: a server that takes a request and is silent looks like a hang of ours.

`Parts` puts its store into a `ToldStore`. Uploads and downloads show their own progress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sagespec.errors import Cancelled
from sagespec.stores.protocol import Conflict, CountBytes, Entry, Store, Stored

TELL_AFTER_SECONDS = 1.5
LINGER_SECONDS = 10.0


class Waits:
    """tell: called with what is waited for, once until it answers.

    One thread watches all that is waited for, and ends when nothing was for a while: one for each would cost more than
    what a store on this machine takes.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.tell = tell
        self.errors = 0  # of stores, since this process began
        self._told: set[str] = set()
        self._one_at_a_time = threading.Lock()
        self._waiting: dict[object, tuple[str, float]] = {}  # what is waited for, and when that takes long
        self._is_watched = False
        self._busy_at = 0.0

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        one = object()
        with self._one_at_a_time:
            self._waiting[one] = what, time.monotonic() + TELL_AFTER_SECONDS
            is_first, self._is_watched = not self._is_watched, True
            self._busy_at = time.monotonic()
        if is_first:
            threading.Thread(target=self._watch, name="waits", daemon=True).start()
        try:
            yield
        except BaseException:
            with self._one_at_a_time:
                del self._waiting[one]
            raise
        with self._one_at_a_time:
            del self._waiting[one]
            self._told.discard(what)

    @property
    def seconds(self) -> float:
        """For how long something has been waited for; of several, the longest. 0 while nothing is."""
        with self._one_at_a_time:
            late_at = min((late_at for _, late_at in self._waiting.values()), default=None)
        return 0.0 if late_at is None else time.monotonic() - late_at + TELL_AFTER_SECONDS

    def _watch(self) -> None:
        while True:
            time.sleep(TELL_AFTER_SECONDS / 3)
            with self._one_at_a_time:
                now = time.monotonic()
                if not self._waiting and now > self._busy_at + LINGER_SECONDS:
                    self._is_watched = False
                    return
                new = {what for what, late_at in self._waiting.values() if late_at <= now} - self._told
                self._told |= new
            for what in sorted(new):
                self.tell(f"waiting for {what} to answer")


class ToldStore:
    """`store`, whose silence is told, and whose errors are counted."""

    def __init__(self, store: Store, waits: Waits) -> None:
        self.uri = store.uri
        self._store, self._waits = store, waits

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except (Conflict, Cancelled):  # another run was first, or somebody has had enough: the store is well
            raise
        except Exception:
            self._waits.errors += 1
            raise

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with self._counted(), self._waits.on(self.uri):
            yield

    def read(self, key: str) -> tuple[bytes, str] | None:
        with self._asked():
            return self._store.read(key)

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        with self._asked():
            return self._store.read_many(keys)

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        with self._asked():
            return self._store.write(key, data, if_absent=if_absent, if_match=if_match)

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        with self._counted():
            return self._store.upload(key, file, progress)

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        with self._counted():
            self._store.download(key, file, sha256=sha256, progress=progress)

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        with self._counted():
            return self._store.read_part(key, start, size, if_match=if_match)

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        with self._asked():
            return self._store.entries(prefix)

    def delete(self, key: str) -> None:
        with self._asked():
            self._store.delete(key)
