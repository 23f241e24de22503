"""Time that stands still until it is set."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class SettableClock:
    """A `Clock` that stands still until it is moved; whoever sleeps moves it, by `at_least` so much."""

    def __init__(self, now: datetime = START, at_least: timedelta = timedelta(0)) -> None:
        self._now = now
        self._at_least = at_least

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        self._now += max(timedelta(seconds=seconds), self._at_least)
        return cancelled is not None and cancelled.is_set()
