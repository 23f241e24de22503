"""Metrics as drawings: an SVG for each group that measures the same thing, and below it what each line says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sagespec.show.html.markup import Html, element, joined
from sagespec.show.html.shares import PENS
from sagespec.show.html.tables import left_out, shortened, table
from sagespec.show.plot import Curve, grouped

WIDTH, HEIGHT = 480, 180
MOST_POINTS = 240  # of a line: there are no more columns to see
MOST_DRAWINGS = 8
MOST_ROWS = 60
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 22, 22
_DASHES = (None, "6 3", "2 3", "8 3 2 3", "1 2", "12 4")
_UNITS = ((7200.0, 3600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))  # from so many seconds on

Point = tuple[float, float]


class _Frame(NamedTuple):
    """What a drawing shows: from where to where, along and up."""

    left: float
    right: float
    low: float
    high: float

    def x(self, at: float) -> float:
        return _LEFT + (at - self.left) / (self.right - self.left) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - _TOP - _BOTTOM)


def curves(series: Mapping[str, Sequence[Point]], *, most: int = MOST_DRAWINGS) -> Html:
    """The metrics by name, as points (seconds since the start, value). most: as many drawings at most; a table has the
    last value of all."""
    if not series:
        return element("p", "no metrics yet", cls="dim")
    return curves_of([Curve("", name, points) for name, points in series.items() if points], most=most)


def curves_of(found: Sequence[Curve], *, most: int = MOST_DRAWINGS) -> Html:
    """The same of several jobs: what measures the same is in one drawing."""
    lines = [curve._replace(points=_finite(curve.points)) for curve in found]
    groups = grouped([curve for curve in lines if len(curve.points) > 1])
    drawn = list(groups.items())[:most]
    drawings = [_drawing(title, group) for title, group in drawn]
    return joined([*drawings, left_out(len(groups) - most, "drawings"), _said(found, drawn)])


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(at, value) for at, value in points if math.isfinite(at) and math.isfinite(value)]


def _drawing(title: str, group: Sequence[Curve]) -> Html:
    frame = _frame_of(group)
    unit, name = next((size, name) for least, size, name in _UNITS if frame.right >= least)
    shown = shortened(title, 80)
    return element(
        "svg",
        element("title", f"{shown} over {name}"),
        *(_level(frame, value) for value in _ticks(frame.low, frame.high)),
        *(_moment(frame, at, unit) for at in _ticks(frame.left / unit, frame.right / unit)),
        element("text", shown, x=_LEFT, y=13, font_size=12, font_weight=600),
        element("text", name, x=WIDTH - _RIGHT, y=13, text_anchor="end", cls="axis", font_size=10),
        *(_line(frame, curve, number) for number, curve in enumerate(group)),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        fill="currentColor",
    )


def _frame_of(group: Sequence[Curve]) -> _Frame:
    ats = [at for curve in group for at, _ in curve.points]
    values = [value for curve in group for _, value in curve.points]
    left, right, low, high = min(ats), max(ats), min(values), max(values)
    right = right if right > left else left + 1.0
    room = (high - low) * 0.06 or abs(high) * 0.05 or 0.5
    return _Frame(left, right, low - room, high + room)


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between the two.

    >>> _ticks(0.412, 0.93)
    [0.6, 0.8]
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next((power * by for by in (1, 2, 5, 10) if power * by * count >= span), power * 10)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)][: 2 * count]


def _level(frame: _Frame, value: float) -> Html:
    y = f"{frame.y(value):.1f}"
    line = element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, cls="grid", stroke="currentColor", opacity="0.5")
    text = f"{frame.y(value) + 3.5:.1f}"
    return joined(
        [line, element("text", f"{value:.6g}", x=_LEFT - 6, y=text, text_anchor="end", cls="axis", font_size=10)]
    )


def _moment(frame: _Frame, at: float, unit: float) -> Html:
    x = f"{frame.x(at * unit):.1f}"
    return element("text", f"{at:.6g}", x=x, y=HEIGHT - 8, text_anchor="middle", cls="axis", font_size=10)


def _line(frame: _Frame, curve: Curve, number: int) -> Html:
    points = [f"{frame.x(at):.1f} {frame.y(value):.1f}" for at, value in _thinned(curve.points)]
    return element(
        "path",
        d="M" + "L".join(points),
        cls=f"pen{number % PENS}",
        fill="none",
        stroke="currentColor",
        stroke_width="1.6",
        stroke_dasharray=_DASHES[number % len(_DASHES)],
    )


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most as many points as can be seen, with every peak: of each stretch its first, least and greatest one."""
    if len(points) <= MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (MOST_POINTS // 3))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        ends = (stretch[0], min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1]))
        kept += sorted(dict.fromkeys(ends))
    return [*kept, points[-1]] if kept[-1] != points[-1] else kept


def _said(found: Sequence[Curve], groups: Sequence[tuple[str, Sequence[Curve]]]) -> Html:
    """A row for each curve, with the pen it was drawn with."""
    pens = {curve.name: number for _, group in groups for number, curve in enumerate(group)}
    rows = [[_sample(pens.get(curve.name)), shortened(curve.name, 80), *_figures(curve)] for curve in found[:MOST_ROWS]]
    head = ("", "METRIC", "LAST", "LEAST", "MOST", "POINTS")
    return joined([table(head, rows), left_out(len(found) - MOST_ROWS, "metrics")])


def _figures(curve: Curve) -> list[str]:
    values = [value for _, value in _finite(curve.points)]
    ends = [f"{min(values):.6g}", f"{max(values):.6g}"] if values else ["-", "-"]
    return [f"{curve.last:.6g}", *ends, f"{len(curve.points):,}"]


def _sample(pen: int | None) -> Html:
    """A short stretch of the line; nothing for what is not drawn."""
    if pen is None:
        return Html()
    dash = _DASHES[pen % len(_DASHES)]
    line = element(
        "line",
        x1=0,
        x2=28,
        y1=4,
        y2=4,
        stroke="currentColor",
        stroke_width="1.6",
        stroke_dasharray=dash,
        cls=f"pen{pen % PENS}",
    )
    return element("svg", line, width=28, height=8, viewBox="0 0 28 8", aria_hidden="true")
