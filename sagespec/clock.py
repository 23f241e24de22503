"""Time, as effects are given it: when it is, and waiting for it to pass.

`World` carries one to every effect. Tests hand in a clock that stands still and is moved by whoever sleeps, so that
eight minutes without an answer to /ping cost them nothing.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, in UTC."""

    def monotonic(self) -> float:
        """Seconds since some moment, for measuring: correcting the time of day does not change it."""

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        """Wait `seconds`, or less if `cancelled` is set meanwhile; whether it is set."""


class RealClock:
    """The machine's."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        if cancelled:
            return cancelled.wait(seconds)
        time.sleep(seconds)
        return False
