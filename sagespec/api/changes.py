"""Says that something has happened to whoever waits for it, without saying what: they look again."""

from __future__ import annotations

import threading
import time


class Changes:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How much has happened so far."""
        return self._count

    def tell(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, seen: int, seconds: float) -> int:
        """Until more than `seen` has happened, or for so long; returns how much has."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._count == seen and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._count
