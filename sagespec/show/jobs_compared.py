"""Jobs side by side: what differs, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.verbs.differences import Row, Value
    from sagespec.verbs.jobs_compared import JobsCompared


def write_jobs_compared(screen: Screen, found: JobsCompared) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
        return
    parts = tables_of(found)
    for number, (title, rows) in enumerate(parts):
        if number:
            screen.line()
        screen.table(rows, head=[title, *names_of(found)])
    if not parts:
        screen.line(("they differ in nothing that is known, and have no metrics", "dim"))


def tables_of(found: JobsCompared) -> list[tuple[str, list[list[Cell]]]]:
    """All metrics; of parameters and data, what differs."""
    parts = (
        ("METRIC", found.metrics),
        ("PARAMETER", [row for row in found.parameters if row.differs]),
        ("DATA", [row for row in found.data if row.differs]),
    )
    return [(title, _cells(rows)) for title, rows in parts if rows]


def names_of(found: JobsCompared) -> list[str]:
    return [f"{job.name}@{job.version}" for job in found.jobs]


def _cells(rows: Sequence[Row]) -> list[list[Cell]]:
    return [[row.name, *(_cell(value, differs=row.differs) for value in row.values)] for row in rows]


def _cell(value: Value, *, differs: bool) -> Cell:
    text = "-" if value is None else value if isinstance(value, str) else f"{value:.6g}"
    return (text, "change") if differs else text
