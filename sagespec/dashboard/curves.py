"""The metrics of jobs that run, each followed by one thread however many pages draw them, until none has for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from sagespec.errors import SagespecError
from sagespec.run.metrics import Point
from sagespec.verbs.metrics import Series

AGAIN_SECONDS = 3.0  # after a job had none, or its log broke off
LEFT_SECONDS = 60.0  # after so long without a reader, a job is not followed any longer
Source = Callable[[], Iterator[Series]]


class Curve:
    """ended: whether no point will come."""

    def __init__(self, source: Source, *, left_seconds: float = LEFT_SECONDS) -> None:
        self._latest: Series = {}
        self._left_seconds, self._asked_at = left_seconds, time.monotonic()
        self.ended = False
        self.ended_at = 0.0
        self._source = source
        threading.Thread(target=self._follow, name="dashboard-metrics", daemon=True).start()

    @property
    def latest(self) -> Series:
        """All points so far."""
        self._asked_at = time.monotonic()
        return self._latest

    def _follow(self) -> None:
        try:
            for series in self._source():
                self._latest = series
                if time.monotonic() - self._asked_at > self._left_seconds:
                    break
        except SagespecError:
            pass  # nothing was printed yet, or its containers are gone: it is asked for again
        finally:
            self.ended_at = time.monotonic()
            self.ended = True


class Curves:
    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[str, Curve] = {}

    def get(self, name: str, source: Source) -> Curve:
        with self._lock:
            curve = self._kept.pop(name, None)
            if curve is None or (curve.ended and time.monotonic() - curve.ended_at > AGAIN_SECONDS):
                curve = Curve(source)
            self._kept[name] = curve
            for old in list(self._kept)[: -self._most]:
                del self._kept[old]
            return curve


def after(series: Series, seconds: float) -> dict[str, list[Point]]:
    """The points that came later than that."""
    found = {name: [point for point in points if point[0] > seconds] for name, points in series.items()}
    return {name: points for name, points in found.items() if points}


def last_at(series: Series) -> float:
    """The time of the last point; -1 if there is none."""
    return max((points[-1][0] for points in series.values() if points), default=-1.0)


def spark_of(series: Series, most: int = 60) -> tuple[str, str]:
    """The first metric's name, and its last points as an SVG's, 100 wide and 20 high; '' if there are too few."""
    name, points = next(iter(series.items()), ("", ()))
    return name, polyline(points, most)


def polyline(points: Sequence[Point], most: int = 60) -> str:
    """
    >>> polyline([(0, 1.0), (5, 3.0), (10, 2.0)])
    '0,19 50,1 100,10'
    """
    step = max(1, len(points) // most)
    chosen = [*points[::step], *points[-1:]] if step > 1 else list(points)
    if len(chosen) < 2:
        return ""
    (first, last), values = (chosen[0][0], chosen[-1][0]), [value for _, value in chosen]
    low, span = min(values), max(values) - min(values)
    along = [100 * (at - first) / ((last - first) or 1) for at, _ in chosen]
    up = [19 - 18 * (value - low) / (span or 1) for value in values]
    return " ".join(f"{x:.4g},{y:.3g}" for x, y in zip(along, up, strict=True))


def figures_of(names: Sequence[str]) -> list[dict[str, object]]:
    """Which metrics are drawn together: train:loss and validation:loss are one figure.

    >>> figures_of(["train:auc", "validation:auc", "lr"])
    [{'title': 'auc', 'series': ['train:auc', 'validation:auc']}, {'title': 'lr', 'series': ['lr']}]
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition(":")[2], []).append(name)
    return [{"title": title, "series": series} for title, series in found.items()]
