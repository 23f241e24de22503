"""Intervals of every variant, as long as they are kept: packed, and none for what was idle. Pure.

An interval takes some 50 bytes, and 6 for each bucket of its latencies; a day of a busy variant some 2 MB.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sagespec.traffic.intervals import ERRORS, Interval, Variant, together
from sagespec.traffic.latencies import packed, unpacked

_NUMBERS = ("requests", *ERRORS, "active")
_HEAD = struct.Struct("<df" + "I" * len(_NUMBERS))  # when it ended, its length, its numbers; the latencies follow
_EARLY_SECONDS = 0.1  # a reading that comes so much early ends an interval all the same


@dataclass(frozen=True)
class Seen:
    """One interval in a ring: when it began and ended, in seconds since 1970."""

    start: float
    end: float
    interval: Interval


class Ring:
    """Intervals of `step_seconds` or a little more, for the last `kept_seconds`."""

    def __init__(self, step_seconds: float, kept_seconds: float) -> None:
        self._step, self._most = step_seconds, round(kept_seconds / step_seconds)
        self._kept: dict[Variant, deque[bytes]] = {}
        self._watched: deque[tuple[float, float]] = deque(maxlen=self._most)  # start and end
        self._open: dict[Variant, Interval] = {}
        self._opened_at: float | None = None
        self._watched_until = 0.0

    def add(self, start: float, end: float, intervals: Mapping[Variant, Interval]) -> None:
        """What happened from `start` to `end`. Nobody watched between an earlier end and this start."""
        if self._opened_at is not None and self._watched_until < start:
            self._close(self._watched_until)
        if self._opened_at is None:
            self._opened_at = start
        self._watched_until = end
        for variant, interval in intervals.items():
            if not interval.is_idle:
                before = self._open.get(variant)
                self._open[variant] = _joined(before, interval) if before else interval
        if end - self._opened_at > self._step - _EARLY_SECONDS:
            self._close(end)

    def _close(self, end: float) -> None:
        assert self._opened_at is not None
        seconds = end - self._opened_at
        self._watched.append((self._opened_at, end))
        for variant, interval in self._open.items():
            content = _pack(end, replace(interval, seconds=seconds))
            self._kept.setdefault(variant, deque(maxlen=self._most)).append(content)
        self._open, self._opened_at = {}, None

    def watched(self, since: float) -> list[tuple[float, float]]:
        """Start and end of what was watched after `since`."""
        found = [] if self._opened_at is None else [(self._opened_at, self._watched_until)]
        for start, end in reversed(self._watched):
            if end <= since:
                break
            found.append((start, end))
        return found[::-1]

    def intervals(self, variant: Variant, since: float) -> list[Seen]:
        """Those that ended after `since` and in which anything happened, the oldest first."""
        found = []
        if self._opened_at is not None and (interval := self._open.get(variant)):
            now = replace(interval, seconds=self._watched_until - self._opened_at)
            found.append(Seen(self._opened_at, self._watched_until, now))
        for content in reversed(self._kept.get(variant, ())):
            end = _HEAD.unpack_from(content)[0]
            if end <= since:
                break
            interval = _unpack(content)
            found.append(Seen(end - interval.seconds, end, interval))
        return found[::-1]

    def variants(self) -> frozenset[Variant]:
        return frozenset(self._kept.keys() | self._open.keys())

    def forget(self, before: float) -> None:
        """Drop what is older; a variant that has had nothing since is dropped whole."""
        for variant, contents in list(self._kept.items()):
            while contents and _HEAD.unpack_from(contents[0])[0] < before:
                contents.popleft()
            if not contents:
                del self._kept[variant]


def _joined(before: Interval, after: Interval) -> Interval:
    """Two that follow each other. In flight: the most that were."""
    both = together((before, after), before.seconds + after.seconds)
    return replace(both, active=max(before.active, after.active))


def _pack(end: float, interval: Interval) -> bytes:
    numbers = (min(getattr(interval, name), 2**32 - 1) for name in _NUMBERS)
    return _HEAD.pack(end, interval.seconds, *numbers) + packed(interval.latencies)


def _unpack(content: bytes) -> Interval:
    _, seconds, *numbers = _HEAD.unpack_from(content)
    return Interval(seconds, **dict(zip(_NUMBERS, numbers, strict=True)), latencies=unpacked(content[_HEAD.size :]))
