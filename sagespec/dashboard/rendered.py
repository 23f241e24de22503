"""Live parts of pages as they were rendered a moment ago: tabs that ask at nearly the same time get the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

KEPT_SECONDS = 1.0


class Rendered:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, str]] = {}

    def get(self, asked: Hashable) -> str | None:
        with self._lock:
            at, text = self._kept.get(asked, (0.0, ""))
        return text if text and time.monotonic() - at < KEPT_SECONDS else None

    def put(self, asked: Hashable, text: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if now - kept[0] < KEPT_SECONDS}
            self._kept[asked] = now, text

    def forget(self) -> None:
        """Something was changed."""
        with self._lock:
            self._kept.clear()
