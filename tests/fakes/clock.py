"""Time that stands still until it is set."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class SettableClock:
    """A `Clock` that stands still until it is moved; whoever sleeps moves it."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        self._now += timedelta(seconds=seconds)
        return cancelled is not None and cancelled.is_set()
