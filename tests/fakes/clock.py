"""Time that stands still until it is moved: by whoever sleeps, or by the test alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class SettableClock:
    """A `Clock` that stands still until it is moved; whoever sleeps moves it, by `at_least` so much.

    That is the thread of the test. Another one, which asks again and again until its event is set, would let time run
    by itself: it waits for that event.
    """

    def __init__(self, now: datetime = START, at_least: timedelta = timedelta(0)) -> None:
        self._now = now
        self._at_least = at_least
        self._of_the_test = threading.current_thread()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        if cancelled and threading.current_thread() is not self._of_the_test:
            return cancelled.wait(seconds)
        self._now += max(timedelta(seconds=seconds), self._at_least)
        return cancelled is not None and cancelled.is_set()


class SteppedClock:
    """A `Clock` that a test alone moves, by `advance`: whoever sleeps waits for that, in a thread of its own.

    at_least: so long any sleep lasts, so that whoever polls for hours looks a few hundred times only.
    """

    def __init__(self, now: datetime = START, at_least: timedelta = timedelta(0)) -> None:
        self._now, self._at_least = now, at_least
        self._asleep: dict[threading.Thread, Callable[[], bool]] = {}  # each with whether it is to wake up
        self._moved = threading.Condition()
        self._strangers = set(threading.enumerate())  # other tests may have left threads of theirs

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(
        self, seconds: float, cancelled: threading.Event | None = None, process: ProcessClock | None = None
    ) -> bool:
        with self._moved:
            until = self._now + max(timedelta(seconds=seconds), self._at_least)

            def is_over() -> bool:
                is_cancelled = cancelled is not None and cancelled.is_set()
                return (is_cancelled or self._now >= until) and not (process and process.is_suspended)

            self._asleep[threading.current_thread()] = is_over
            self._moved.notify_all()
            while not is_over():
                self._moved.wait(0.01)
            del self._asleep[threading.current_thread()]
        return cancelled is not None and cancelled.is_set()

    @property
    def sleepers(self) -> int:
        return len(self._asleep)

    def advance(self, seconds: float) -> None:
        """Let time pass, and whoever has slept until then, or works, work until they sleep again or have ended."""
        self.rest()
        with self._moved:
            self._now += timedelta(seconds=seconds)
            self._moved.notify_all()
        self.rest()

    def rest(self, within_seconds: float = 20) -> None:
        """Wait until all tasks sleep or have ended."""
        give_up_at = time.monotonic() + within_seconds
        with self._moved:
            while busy := self._busy():
                assert time.monotonic() < give_up_at, f"neither asleep nor at an end: {[t.name for t in busy]}"
                self._moved.wait(0.002)

    def _busy(self) -> list[threading.Thread]:
        tasks = {t for t in threading.enumerate() if t.name.startswith("task ")} - self._strangers
        awake = {t for t, is_over in self._asleep.items() if is_over()} | (tasks - self._asleep.keys())
        return [thread for thread in awake if thread.is_alive()]


class ProcessClock:
    """A `SteppedClock` as one process has it, which may be suspended: nothing of it wakes up until it is no more."""

    def __init__(self, clock: SteppedClock) -> None:
        self.is_suspended = False
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        return self._clock.sleep(seconds, cancelled, self)
