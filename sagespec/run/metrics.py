"""Numbers found in what containers print: by regular expression, as series over time. Pure.

`follow` reads every line of every host and `collect` keeps the series in the manifest; `verbs` reads those of a job
that is still running. As in CloudWatch the lines of all hosts count, and where two print the same metric, the value
printed last counts (of two at the same time, the first host's).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from sagespec.run.bars import pieces_of

MOST_POINTS = 1000
Point = tuple[float, float]  # seconds, value
LONGEST_LINE = 4096  # characters of a line that are looked at; of a progress bar, of each piece
MOST_PIECES = 100  # of a progress bar, the last ones
MOST_TIMEOUTS = 3  # after which a metric is given up


class Match(Protocol):
    def group(self, number: int, /) -> str | None: ...


Search = Callable[[str], Match | None]  # TimeoutError when it takes too long
Patterns = Sequence[tuple[str, Search]]  # metric name, and where its number is: the first group


class FoundMetrics:
    """The numbers in the lines of one container, in the order in which they were printed.

    Of a metric that is printed very often points are left out evenly, so that any length of log fits in memory.
    give_up: told the name of a metric whose pattern has taken too long too often.
    """

    def __init__(self, patterns: Patterns, *, give_up: Callable[[str], None] = lambda _: None) -> None:
        self._patterns = list(patterns)
        self._declared = [name for name, _ in patterns]
        self._give_up = give_up
        self._timeouts = Counter[Search]()
        self._samples: dict[str, _Sample] = {}

    def read(self, at: float, line: str) -> None:
        """Take the values in `line`, printed `at` seconds since 1970: of a progress bar the last. A value that is not
        finite is ignored: a manifest could not hold it, and CloudWatch drops it too."""
        pieces = pieces_of(line)[-MOST_PIECES:]
        for name, search in tuple(self._patterns):
            try:
                value = _last_value(search, pieces)
            except TimeoutError:
                self._count_timeout(name, search)
                continue
            if value is not None:
                self._samples.setdefault(name, _Sample()).add((at, value))

    def _count_timeout(self, name: str, search: Search) -> None:
        self._timeouts[search] += 1
        if self._timeouts[search] == MOST_TIMEOUTS:
            self._patterns.remove((name, search))
            self._give_up(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics found, in the order of their declaration."""
        return tuple(name for name in dict.fromkeys(self._declared) if name in self._samples)

    def points(self, name: str) -> list[Point]:
        sample = self._samples.get(name)
        return sample.points if sample else []


def series_of(hosts: Iterable[FoundMetrics], since: float) -> dict[str, list[Point]]:
    """The points of all hosts (algo-1 first) by metric: (seconds after `since`, value), in the order of time.

    At most MOST_POINTS each, evenly chosen, the first and the last always among them.
    """
    found = tuple(hosts)
    names = dict.fromkeys(name for host in found for name in host.names)
    series = {}
    for name in names:
        # The sort is stable, so of equal times the first host's comes last, and is the one that counts.
        points = sorted((point for host in reversed(found) for point in host.points(name)), key=lambda point: point[0])
        series[name] = [(round(at - since, 3), value) for at, value in thinned(points)]
    return series


def final_values(series: Mapping[str, Sequence[Point]]) -> dict[str, float]:
    """What each metric ended with."""
    return {name: points[-1][1] for name, points in series.items() if points}


def latest_points(patterns: Patterns, lines: Sequence[tuple[float, str]]) -> dict[str, Point]:
    """What FoundMetrics would have last of each metric, read from the end of the lines and no further than needed."""
    found: dict[str, Point] = {}
    wanted, timeouts = list(reversed(patterns)), Counter[Search]()  # of two for one metric, the later one counts
    for at, line in reversed(lines):
        pieces = pieces_of(line)[-MOST_PIECES:]
        for name, search in wanted:
            if name in found or timeouts[search] >= MOST_TIMEOUTS:
                continue
            try:
                value = _last_value(search, pieces)
            except TimeoutError:
                timeouts[search] += 1
                continue
            if value is not None:
                found[name] = (at, value)
        wanted = [(name, search) for name, search in wanted if name not in found]
        if not wanted:
            break
    return {name: found[name] for name in dict.fromkeys(name for name, _ in patterns) if name in found}


def latest_values(hosts: Iterable[Mapping[str, Point]]) -> dict[str, float]:
    """The current value of each metric over all hosts (algo-1 first), from the last point of each."""
    latest: dict[str, Point] = {}
    for host in hosts:
        for name, point in host.items():
            if name not in latest or point[0] > latest[name][0]:
                latest[name] = point
    return {name: value for name, (_, value) in latest.items()}


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` of the points, evenly chosen.

    >>> thinned([(0, 5), (1, 6), (2, 7), (3, 8), (4, 9)], 3)
    [(0, 5), (2, 7), (4, 9)]
    """
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(index * step)] for index in range(most)]


class _Sample:
    """Every n-th of the points it was given, n doubling when they become many, and the last."""

    def __init__(self) -> None:
        self._kept: list[Point] = []
        self._last: Point | None = None
        self._count = 0
        self._every = 1

    def add(self, point: Point) -> None:
        if self._count % self._every == 0:
            self._kept.append(point)
        if len(self._kept) > 4 * MOST_POINTS:
            self._kept, self._every = self._kept[::2], self._every * 2
        self._count += 1
        self._last = point

    @property
    def points(self) -> list[Point]:
        is_kept = (self._count - 1) % self._every == 0
        return self._kept if is_kept or self._last is None else [*self._kept, self._last]


def _last_value(search: Search, pieces: Sequence[str]) -> float | None:
    matches = (search(piece[:LONGEST_LINE]) for piece in reversed(pieces))
    values = (_number(match.group(1)) for match in matches if match)
    return next((value for value in values if value is not None), None)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
