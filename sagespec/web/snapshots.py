"""One look at the project for everybody who asks within a moment: a look costs the engine and the store more than an
answer costs us."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sagespec.verbs.states import Status

MAX_AGE_SECONDS = 0.25


@dataclass(frozen=True)
class _Taken:
    """begun_at: by the monotonic clock. seconds: how long the look took."""

    status: Status
    begun_at: float
    seconds: float


class Snapshots:
    """look: takes one; what it raises, it raises for whoever asked."""

    def __init__(self, look: Callable[[], Status]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._taken: _Taken | None = None
        self._forgotten_at = float("-inf")
        self._renewing = threading.Semaphore()

    def status(self, max_age_seconds: float = MAX_AGE_SECONDS) -> Status:
        """The last status, or a new one if that is older. Whoever asks while one is being taken gets that one.

        Where a look takes long (a thousand jobs), nobody waits for it: the last one is given for as long as two looks
        take, and another is taken meanwhile.
        """
        oldest = time.monotonic() - max_age_seconds
        taken = self._taken
        if taken and taken.begun_at > self._forgotten_at and taken.begun_at >= oldest - 2 * taken.seconds:
            if taken.begun_at < oldest and self._renewing.acquire(blocking=False):
                threading.Thread(target=self._renew, args=(oldest,), name="look", daemon=True).start()
            return taken.status
        return self._taken_since(oldest)

    def _taken_since(self, oldest: float) -> Status:
        with self._lock:
            taken = self._taken
            if taken is None or taken.begun_at < oldest or taken.begun_at <= self._forgotten_at:
                begun = time.monotonic()
                status = self._look()
                taken = self._taken = _Taken(status, begun, time.monotonic() - begun)
            return taken.status

    def _renew(self, oldest: float) -> None:
        try:
            with suppress(Exception):  # whoever asks next learns of it
                self._taken_since(oldest)
        finally:
            self._renewing.release()

    def forget(self) -> None:
        """What was seen is old news: the next one to ask looks. Never waits: whoever says so may hold what a look that
        is being taken waits for, as the gateway does while it starts."""
        self._forgotten_at = time.monotonic()
