"""The traffic of every variant over time: by the second for 15 minutes, by ten seconds for a day.

The recorder adds to it in its thread; pages ask for steps of equal length, `lately` for the last minute.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sagespec.traffic.intervals import ERRORS, Interval, Variant
from sagespec.traffic.latencies import added, quantile
from sagespec.traffic.ring import Ring, Seen

FINE = (1.0, 15 * 60.0)  # how long a step is, and how long it is kept, in seconds
COARSE = (10.0, 24 * 3600.0)
MOST_CHANGES = 2000  # of the number of healthy instances that are kept
FORGET_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Step:
    """One step of a curve. at: its end, in seconds since 1970. rate: requests a second; None where nobody watched, or
    for too short. errors: a second, by kind. active: most requests in flight. healthy: instances at its end, None where
    not known. p50_ms, p99_ms: of the requests answered within it; None without requests."""

    at: float
    rate: float | None
    errors: Mapping[str, float]
    active: int
    healthy: int | None
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Span:
    """A time as a whole: `seconds` of it were watched. errors: how many, by kind; `client` is refused requests, which
    are not among the requests."""

    seconds: float
    requests: int
    errors: Mapping[str, int]
    p50_ms: float | None
    p99_ms: float | None

    @property
    def is_any(self) -> bool:
        return bool(self.requests or any(self.errors.values()))

    @property
    def failed(self) -> int:
        return sum(count for kind, count in self.errors.items() if kind != "client")

    @property
    def rate(self) -> float | None:
        return self.requests / self.seconds if self.seconds else None


class History:
    """Safe to use from several threads. Times are seconds since 1970."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fine, self._coarse = Ring(*FINE), Ring(*COARSE)
        self._healthy: dict[Variant, deque[tuple[float, int]]] = {}
        self._forgot_at = 0.0
        self.recorder = threading.Lock()  # held by the one thread of this process that adds to it
        self.recorded_at = 0.0  # last; 0 where nothing was ever recorded in this process

    def add(self, start: float, end: float, intervals: Mapping[Variant, Interval]) -> None:
        with self._lock:
            self._fine.add(start, end, intervals)
            self._coarse.add(start, end, intervals)
            self.recorded_at = end
            if end - self._forgot_at > FORGET_EVERY_SECONDS:
                self._fine.forget(end - FINE[1])
                self._coarse.forget(end - COARSE[1])
                self._forgot_at = end

    def add_healthy(self, at: float, healthy: Mapping[Variant, int]) -> None:
        """How many instances of each variant are healthy. One that is gone has none."""
        with self._lock:
            for variant in healthy.keys() | self._healthy.keys():
                changes = self._healthy.setdefault(variant, deque(maxlen=MOST_CHANGES))
                now = healthy.get(variant, 0)
                if not changes or changes[-1][1] != now:
                    changes.append((at, now))

    def variants(self) -> frozenset[Variant]:
        """Those that had traffic within the day; ('churn', '') for what reached no variant."""
        with self._lock:
            return self._fine.variants() | self._coarse.variants()

    def seen(self, variant: Variant, now: float, seconds: float) -> list[Seen]:
        """What happened to a variant in the last `seconds`, as it was read, the oldest first."""
        with self._lock:
            return self._ring(seconds).intervals(variant, now - seconds)

    def watched(self, now: float, seconds: float) -> float:
        """How many of the last `seconds` were watched."""
        with self._lock:
            return sum(end - max(start, now - seconds) for start, end in self._ring(seconds).watched(now - seconds))

    def steps(self, variant: Variant, now: float, seconds: float, step_seconds: float) -> list[Step]:
        """The last `seconds` in steps, the oldest first."""
        count = round(seconds / step_seconds)
        first = now - count * step_seconds
        with self._lock:
            ring = self._ring(seconds)
            seen, watched = ring.intervals(variant, first), ring.watched(first)
            healthy = list(self._healthy.get(variant, ()))
        ends = [first + (number + 1) * step_seconds for number in range(count)]
        parts = _by_step(seen, first, step_seconds, count)
        covered = _covered(watched, first, step_seconds, count)
        known = _healthy_at(healthy, ends)
        return [_step(*each, step_seconds) for each in zip(ends, parts, covered, known, strict=True)]

    def span(self, variant: Variant, now: float, seconds: float) -> Span:
        """The last `seconds` as a whole."""
        with self._lock:
            ring = self._ring(seconds)
            seen = [one.interval for one in ring.intervals(variant, now - seconds)]
            watched = sum(end - start for start, end in ring.watched(now - seconds))
        latencies = added(interval.latencies for interval in seen)
        return Span(
            seconds=watched,
            requests=sum(interval.requests for interval in seen),
            errors={kind: sum(getattr(interval, kind) for interval in seen) for kind in ERRORS},
            p50_ms=quantile(latencies, 0.5),
            p99_ms=quantile(latencies, 0.99),
        )

    def _ring(self, seconds: float) -> Ring:
        return self._fine if seconds <= FINE[1] else self._coarse


@dataclass(frozen=True)
class _Part:
    """What of an interval is in a step: `share` of its counts, and `overlap` seconds of the step."""

    interval: Interval
    share: float
    overlap: float


def _by_step(seen: Iterable[Seen], first: float, step_seconds: float, count: int) -> list[list[_Part]]:
    """An interval that reaches over several steps is spread over them."""
    found: list[list[_Part]] = [[] for _ in range(count)]
    for one in seen:
        length = max(one.end - one.start, 1e-6)
        for number in _touched(one.start, one.end, first, step_seconds, count):
            overlap = _overlap(one.start, one.end, first + number * step_seconds, step_seconds)
            if overlap > 0:
                found[number].append(_Part(one.interval, overlap / length, overlap))
    return found


def _touched(start: float, end: float, first: float, step_seconds: float, count: int) -> range:
    return range(max(0, int((start - first) // step_seconds)), min(count - 1, int((end - first) // step_seconds)) + 1)


def _overlap(start: float, end: float, step_start: float, step_seconds: float) -> float:
    return min(end, step_start + step_seconds) - max(start, step_start)


def _covered(watched: Sequence[tuple[float, float]], first: float, step_seconds: float, count: int) -> list[float]:
    """How many seconds of each step were watched."""
    found = [0.0] * count
    for start, end in watched:
        for number in _touched(start, end, first, step_seconds, count):
            found[number] += max(0.0, _overlap(start, end, first + number * step_seconds, step_seconds))
    return found


def _healthy_at(changes: Sequence[tuple[float, int]], ends: Sequence[float]) -> list[int | None]:
    found: list[int | None] = []
    number, now = 0, None
    for end in ends:
        while number < len(changes) and changes[number][0] <= end:
            now = changes[number][1]
            number += 1
        found.append(now)
    return found


def _step(end: float, parts: Sequence[_Part], covered: float, healthy: int | None, step_seconds: float) -> Step:
    """Latencies are of the intervals that lie in it for the better part. A step that was watched for less than half of
    it is not known: a few requests in a moment would look like many a second."""
    mostly = [part for part in parts if part.overlap >= 0.5 * min(step_seconds, part.interval.seconds)]
    latencies = added(part.interval.latencies for part in mostly)

    is_known = covered >= 0.5 * step_seconds

    def per_second(name: str) -> float:
        return sum(getattr(part.interval, name) * part.share for part in parts) / covered if is_known else 0.0

    return Step(
        at=end,
        rate=per_second("requests") if is_known else None,
        errors={kind: per_second(kind) for kind in ERRORS},
        active=max((part.interval.active for part in parts), default=0),
        healthy=healthy if is_known else None,
        p50_ms=quantile(latencies, 0.5),
        p99_ms=quantile(latencies, 0.99),
    )
