"""Series of metrics as drawings: with characters in the terminal, as a PNG file, or as JSON.

Metrics that measure the same thing (train:auc, validation:auc) share a drawing; others have one of their own, since
their scales differ. plotext and matplotlib are imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sagespec.errors import WorldError
from sagespec.show.screen import Screen, clean

if TYPE_CHECKING:
    from sagespec.verbs.metrics import Series

HEIGHT = 16  # lines of one drawing
WIDTH = 80  # if no width is given
NARROWEST, WIDEST = 40, 140
_COLOURS = {"cyan": "name", "orange": "change", "green": "good", "red": "bad"}  # plotext's, and the screen's tone
_MARKS = "*o+x#@%&"  # distinguish the lines without colours
_BRAILLE = "⠤"
_ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")


def write_series(screen: Screen, about: str, series: Series, *, in_place: bool = False) -> None:
    """All series, one drawing below the other. in_place: replaces what is on the terminal."""
    if screen.format == "json":
        found = {name: [list(point) for point in points] for name, points in series.items()}
        screen.record({"address": about, "series": found})
        return
    if in_place and screen.live:
        screen.clear()
    if not series:
        screen.line((f"{about} has printed no metrics yet", "dim"))
    for title, group in grouped(series).items():
        pens = [_pen(screen, number, alone=len(group) == 1) for number in range(len(group))]
        screen.drawing(_drawn(screen, title, group, pens))
        for (mark, colour), (name, points) in zip(pens, group.items(), strict=True):
            values = [value for _, value in points]
            ends = f"  now {values[-1]:.6g}, least {min(values):.6g}, most {max(values):.6g} of {len(values)} points"
            sample = _BRAILLE if mark == "braille" else mark
            screen.line("  ", (sample, _COLOURS.get(colour, "")), f" {name}", (ends, "dim"))
        screen.line()


def _pen(screen: Screen, number: int, *, alone: bool) -> tuple[str, str]:
    """Mark and colour of the line of this number."""
    mark = "braille" if screen.unicode and (alone or screen.colour) else _MARKS[number % len(_MARKS)]
    return mark, list(_COLOURS)[number % len(_COLOURS)] if screen.colour else ""


def grouped(series: Series) -> Mapping[str, Series]:
    """By what they measure, in the order in which it first comes.

    >>> list(grouped({"train:auc": [], "loss": [], "validation:auc": []}))
    ['auc', 'loss']
    """
    groups: dict[str, dict[str, Sequence[tuple[float, float]]]] = {}
    for name, points in series.items():
        groups.setdefault(name.rpartition(":")[2], {})[name] = points
    return groups


def _drawn(screen: Screen, title: str, series: Series, pens: Sequence[tuple[str, str]]) -> str:
    import plotext

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(max(NARROWEST, min(WIDEST, screen.width or WIDTH)), HEIGHT)
    plotext.theme("clear")
    for (mark, colour), points in zip(pens, series.values(), strict=True):
        seconds, values = [point[0] for point in points], [point[1] for point in points]
        plotext.plot(seconds, values, marker=mark, color=colour or None)
    plotext.title(clean(title))
    plotext.xlabel("seconds since the start")
    text = plotext.build() if screen.colour else plotext.uncolorize(plotext.build())
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return text if screen.unicode else text.translate(_ASCII)


def write_png(file: Path, about: str, series: Series) -> None:
    """The same drawings in one PNG file. WorldError when matplotlib is missing or the file cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise WorldError("a PNG needs matplotlib, which is not there", fix="pip install 'sagespec[plot]'") from error
    groups = grouped(series)
    figure = Figure(figsize=(8, 0.6 + 2.8 * len(groups)), layout="constrained")
    figure.suptitle(about, fontsize=11)
    for axes, (title, group) in zip(figure.subplots(len(groups), squeeze=False)[:, 0], groups.items(), strict=True):
        for name, points in group.items():
            dots = "o" if len(points) <= 30 else ""
            seconds, values = [point[0] for point in points], [point[1] for point in points]
            axes.plot(seconds, values, label=name, marker=dots, markersize=3, linewidth=1.4)
        axes.set_ylabel(title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlabel("seconds since the start")
    try:
        figure.savefig(file, format="png", dpi=150)
    except OSError as error:
        raise WorldError(f"cannot write {file}: {error.strerror or error}", fix="choose another place") from error
