"""What the loop has done since it began: looks, passes, actions, and how long passes took."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sagespec.causes import Reason
from sagespec.events import Event, EventKind

BOUNDS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ENDS = {EventKind.FINISHED: "done", EventKind.FAILED: "failed"}


@dataclass(frozen=True)
class LoopFigures:
    """passes, looks: by how they ended, done or failed. actions: by verb and how they ended. drift: of these, how many
    repaired what was not as it was applied. repairs: these, by address and verb. buckets: how many passes took at most
    each of BOUNDS_SECONDS, the others last. succeeded_at: the last look or pass that did not fail, in seconds since
    1970; 0 before."""

    passes: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    drift: int = 0
    repairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS_SECONDS) + 1)
    seconds: float = 0.0
    succeeded_at: float = 0.0


class LoopCounts:
    """Safe to use from several threads. clock: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._passes, self._looks = Counter[str](), Counter[str]()
        self._actions = Counter[tuple[str, str]]()
        self._drifted: set[tuple[str, str]] = set()  # verb and address of what repairs drift
        self._drift, self._repairs = 0, Counter[tuple[str, str]]()
        self._buckets = [0] * (len(BOUNDS_SECONDS) + 1)
        self._seconds = self._succeeded_at = 0.0

    @contextmanager
    def look(self) -> Iterator[None]:
        with self._counted(self._looks):
            yield

    @contextmanager
    def a_pass(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            with self._counted(self._passes):
                yield
        finally:
            took = time.monotonic() - begun
            with self._lock:
                self._seconds += took
                self._buckets[bisect_left(BOUNDS_SECONDS, took)] += 1

    def hear(self, event: Event) -> None:
        """Of the work's events: plans, which say what repairs drift, and how actions ended."""
        with self._lock:
            if event.plan:
                drift = {(a.verb, str(a.about)) for a in event.plan if a.cause.reason is Reason.DRIFT}
                self._drifted |= drift
            elif event.action and event.about and event.kind in _ENDS:
                self._actions[event.action, _ENDS[event.kind]] += 1
                if event.kind is EventKind.FINISHED and (event.action, event.about) in self._drifted:
                    self._drifted -= {(event.action, event.about)}
                    self._drift += 1
                    self._repairs[event.about, event.action] += 1

    def figures(self) -> LoopFigures:
        with self._lock:
            return LoopFigures(
                Counter(self._passes),
                Counter(self._looks),
                Counter(self._actions),
                self._drift,
                Counter(self._repairs),
                tuple(self._buckets),
                self._seconds,
                self._succeeded_at,
            )

    @contextmanager
    def _counted(self, counter: Counter[str]) -> Iterator[None]:
        result = "failed"
        try:
            yield
            result = "done"
        finally:
            with self._lock:
                counter[result] += 1
                if result == "done":
                    self._succeeded_at = self._clock()
