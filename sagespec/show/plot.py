"""Series of metrics as drawings: with characters in the terminal, as a PNG file, or as JSON.

Metrics that measure the same thing (train:auc, validation:auc), of one job or several, share a drawing; others have one
of their own, since their scales differ. plotext and matplotlib are imported when something is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from sagespec.errors import WorldError
from sagespec.show.screen import Screen, clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sagespec.verbs.metrics import Series

HEIGHT = 16  # lines of one drawing
WIDTH = 80  # if no width is given
NARROWEST, WIDEST = 40, 140
_COLOURS = {"cyan": "name", "orange": "change", "green": "good", "red": "bad"}  # plotext's, and the screen's tone
_MARKS = "*o+x#@%&"  # distinguish the lines without colours
_BRAILLE = "⠤"
_ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")


Over = Literal["seconds", "steps"]
_ALONG: Mapping[Over, str] = {"seconds": "seconds since the start", "steps": "steps: the first point, the second, …"}


class Curve(NamedTuple):
    """A metric of a job. job: '' where there is only one."""

    job: str
    metric: str
    points: Sequence[tuple[float, float]]

    @property
    def name(self) -> str:
        return f"{self.job} {self.metric}".strip()

    @property
    def last(self) -> float:
        return self.points[-1][1]

    def drawn(self, over: Over) -> tuple[list[float], list[float]]:
        """Where its points are, from left to right, and how high. Steps count from 1."""
        along = [float(step) for step in range(1, len(self.points) + 1)]
        return (along if over == "steps" else [at for at, _ in self.points]), [value for _, value in self.points]


def write_series(screen: Screen, jobs: Mapping[str, Series], *, in_place: bool = False, over: Over = "seconds") -> None:
    """All series of the jobs, by address, one drawing below the other; what was printed once is in a table. in_place:
    replaces what is on the terminal."""
    if screen.format == "json":
        for about, series in jobs.items():
            found = {name: [list(point) for point in points] for name, points in series.items()}
            screen.record({"address": about, "series": found})
        return
    if in_place and screen.live:
        screen.clear()
    for about in (about for about, series in jobs.items() if not series):
        screen.line((f"{about} has printed no metrics yet", "dim"))
    found_curves = curves_of(jobs)
    for title, group in grouped([curve for curve in found_curves if len(curve.points) > 1]).items():
        pens = [_pen(screen, number, alone=len(group) == 1) for number in range(len(group))]
        screen.drawing(_drawn(screen, title, group, pens, over))
        for (mark, colour), curve in zip(pens, group, strict=True):
            values = [value for _, value in curve.points]
            ends = f"  now {values[-1]:.6g}, least {min(values):.6g}, most {max(values):.6g} of {len(values)} points"
            sample = _BRAILLE if mark == "braille" else mark
            screen.line("  ", (sample, _COLOURS.get(colour, "")), f" {curve.name}", (ends, "dim"))
        screen.line()
    _write_single(screen, [curve for curve in found_curves if len(curve.points) == 1])


def _write_single(screen: Screen, curves: Sequence[Curve]) -> None:
    """What each job has printed once, a row for each metric and a column for each job."""
    if not curves:
        return
    jobs, metrics = (list(dict.fromkeys(names)) for names in zip(*((c.job, c.metric) for c in curves), strict=True))
    values = {(curve.job, curve.metric): f"{curve.last:.6g}" for curve in curves}
    rows = [[metric, *(values.get((job, metric), "-") for job in jobs)] for metric in metrics]
    screen.table(rows, head=["PRINTED ONCE", *(job or "VALUE" for job in jobs)], indent="  ")


def curves_of(jobs: Mapping[str, Series]) -> list[Curve]:
    """Metric by metric, so that those of several jobs stand together."""
    short = {about: about.partition("/")[2] if len(jobs) > 1 else "" for about in jobs}
    metrics = dict.fromkeys(name for series in jobs.values() for name in series)
    return [
        Curve(short[about], metric, series[metric])
        for metric in metrics
        for about, series in jobs.items()
        if metric in series
    ]


def _pen(screen: Screen, number: int, *, alone: bool) -> tuple[str, str]:
    """Mark and colour of the line of this number."""
    is_told_by_colour = screen.colour and number < len(_COLOURS)
    mark = "braille" if screen.unicode and (alone or is_told_by_colour) else _MARKS[number % len(_MARKS)]
    return mark, list(_COLOURS)[number % len(_COLOURS)] if screen.colour else ""


def grouped(curves: Sequence[Curve]) -> Mapping[str, list[Curve]]:
    """By what they measure, in the order in which it first comes.

    >>> list(grouped([Curve("", name, []) for name in ("train:auc", "loss", "validation:auc")]))
    ['auc', 'loss']
    """
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.metric.rpartition(":")[2], []).append(curve)
    return groups


def _drawn(screen: Screen, title: str, curves: Sequence[Curve], pens: Sequence[tuple[str, str]], over: Over) -> str:
    import plotext

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(max(NARROWEST, min(WIDEST, screen.width or WIDTH)), HEIGHT)
    plotext.theme("clear")
    for (mark, colour), curve in zip(pens, curves, strict=True):
        plotext.plot(*curve.drawn(over), marker=mark, color=colour or None)
    plotext.title(clean(title))
    plotext.xlabel(_ALONG[over])
    text = plotext.build() if screen.colour else plotext.uncolorize(plotext.build())
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return text if screen.unicode else text.translate(_ASCII)


def write_png(file: Path, jobs: Mapping[str, Series], *, over: Over = "seconds") -> None:
    """The same drawings in one PNG file. WorldError when matplotlib is missing or the file cannot be written."""
    groups = grouped(curves_of(jobs))
    figure = new_figure(len(groups))
    figure.suptitle(", ".join(jobs), fontsize=11)
    for axes, (title, group) in zip(figure.subplots(len(groups), squeeze=False)[:, 0], groups.items(), strict=True):
        for curve in group:
            dots = "o" if len(curve.points) <= 30 else ""
            axes.plot(*curve.drawn(over), label=curve.name, marker=dots, markersize=3, linewidth=1.4)
        axes.set_ylabel(title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlabel(_ALONG[over])
    save(figure, file)


def new_figure(drawings: int) -> Figure:
    """For so many drawings, one below the other. WorldError when matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise WorldError(
            "a PNG needs matplotlib, which is not there", fix=f"{sys.executable} -m pip install 'sagespec[plot]'"
        ) from error
    return Figure(figsize=(8, 0.6 + 2.8 * drawings), layout="constrained")


def save(figure: Figure, file: Path) -> None:
    """WorldError when it cannot be written."""
    try:
        figure.savefig(file, format="png", dpi=150)
    except OSError as error:
        raise WorldError(f"cannot write {file}: {error.strerror or error}", fix="choose another place") from error
