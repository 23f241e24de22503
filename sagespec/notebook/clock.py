"""The `time` of a module of SageMaker's SDKs: it sleeps less, and nothing else is noticed of it.

The SDKs poll a service on the other side of the world, every 5 to 30 s. Ours is on this machine.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

POLL_SECONDS = 0.5
DESCRIBE_SECONDS = 30.0  # while a log is followed, the SDKs ask for the job's state at most this often


class Clock(ModuleType):
    """Python's `time`, but for long sleeps: they take half a second.

    Where a sleep was cut short, the SDKs' own "at most every 30 s" counts as passed. Deadlines are those of the real
    clock: they are compared, not subtracted.
    """

    def __init__(self) -> None:
        super().__init__("time", "Python's time, with shorter sleeps; see sagespec.notebook.clock")
        self._cut = 0

    def sleep(self, seconds: float) -> None:
        if seconds > POLL_SECONDS:
            self._cut += 1
        time.sleep(min(seconds, POLL_SECONDS))

    def time(self) -> Moment:
        return Moment(time.time(), self._cut)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class ShortSleeps(Clock):
    """The same for modules that measure their deadlines by subtraction."""

    def time(self) -> Moment:
        return Moment(time.time(), 0)


class Moment(float):
    """Seconds since the epoch. cut: how many sleeps were cut short until then."""

    cut: int

    def __new__(cls, seconds: float, cut: int) -> Moment:
        moment = super().__new__(cls, seconds)
        moment.cut = cut
        return moment

    def __sub__(self, other: float) -> float:
        seconds = float(self) - float(other)
        return seconds + DESCRIBE_SECONDS if isinstance(other, Moment) and other.cut < self.cut else seconds
