"""Rows of cells as a table. The cells are those of `Screen.table`, so that one function makes the rows of both."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sagespec.show.html.markup import Html, element, escaped, joined
from sagespec.show.screen import Cell

LONGEST = 400  # letters of a cell; more is for the command line
_FIGURE = re.compile(r"-|(< )?[-+]?[\d.,]+(e[-+]?\d+)?( (%|ms|s|min \d+ s|h \d+ min|B|[KMGT]iB))?")


def table(head: Sequence[str], rows: Sequence[Sequence[Cell | Html | float]]) -> Html:
    """A table of texts, of texts with a tone, of figures and of HTML. Columns of figures are aligned to the right."""
    figures = [_is_of_figures(column) for column in zip(*rows, strict=True)] if rows else []
    titles = [element("th", title, scope="col", cls="n" if _at(figures, n) else None) for n, title in enumerate(head)]
    lines = [
        element("tr", *(_cell(cell, is_figure=figures[number]) for number, cell in enumerate(row))) for row in rows
    ]
    return element(
        "table",
        *([element("thead", element("tr", *titles))] if any(head) else []),
        element("tbody", *lines),
        cls="rows",
    )


def left_out(count: int, unit: str) -> Html:
    """A line that says how many were left out; nothing when none were."""
    if count <= 0:
        return Html()
    return element("p", f"… and {count:,} more {unit}", cls="dim")


def _at(figures: Sequence[bool], number: int) -> bool:
    return number < len(figures) and figures[number]


def _is_of_figures(column: Sequence[Cell | Html | float]) -> bool:
    texts = [_text(cell) for cell in column if not isinstance(cell, Html)]
    filled = [text for text in texts if text and text != "-"]
    return len(texts) == len(column) and bool(filled) and all(_FIGURE.fullmatch(text) for text in filled)


def _text(cell: Cell | float) -> str:
    return cell[0] if isinstance(cell, tuple) else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _cell(cell: Cell | Html | float, *, is_figure: bool) -> Html:
    if isinstance(cell, Html):
        return element("td", cell)
    classes = " ".join([*(["n"] if is_figure else []), *([cell[1]] if isinstance(cell, tuple) and cell[1] else [])])
    return element("td", lines_of(shortened(_text(cell))), cls=classes or None)


def shortened(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def lines_of(text: str) -> Html:
    """The text with its line breaks."""
    first, *others = text.split("\n")
    return joined([escaped(first), *(part for line in others for part in (element("br"), line))])
