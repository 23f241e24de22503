"""One look for all that ask at about the same time.

Each host of a job has a thread that reads its log, and asks every moment whether it has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OneLook(Generic[T]):
    """look: asked for once in `every_seconds` at most, however many ask."""

    def __init__(self, look: Callable[[], T], every_seconds: float) -> None:
        self._look, self._every_seconds = look, every_seconds
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._found: T | None = None
        self._failure: Exception | None = None

    def now(self) -> T:
        """What was found by a look that began after this was asked; so it waits for the next one."""
        asked = time.monotonic()
        with self._lock:
            if self._began <= asked:
                time.sleep(max(0.0, self._began + self._every_seconds - time.monotonic()))
                self._began, self._failure = time.monotonic(), None
                try:
                    self._found = self._look()
                except Exception as error:
                    self._failure = error
            if self._failure:
                raise self._failure
            return self._found  # type: ignore[return-value]  # found, or failed
