"""What is another from one job to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.state.data import DataChange
    from sagespec.verbs.diff import CodeChange, Difference
    from sagespec.verbs.differences import Row, Value

MOST_NAMED = 5  # objects of a channel, of each kind
_SIGNS = {"new": "+", "changed": "~", "gone": "-"}
_TONES = {"+": "good", "-": "bad", "@": "name"}


def write_diff(screen: Screen, found: Difference) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
        return
    names = [f"{job.name}@{job.version}" for job in found.jobs]
    parts: list[tuple[str, list[list[Cell]], list[str]]] = [
        ("FIELD", [[one.field, one.old or "-", (one.new or "-", "change")] for one in found.fields], names),
        ("METRIC", rows_of(found.metrics), [*names, "CHANGE"]),
        ("IMAGE", rows_of([row for row in found.images if row.differs], with_delta=False), names),
        ("SECONDS", rows_of(found.seconds), [*names, "CHANGE"]),
    ]
    begun = False
    for title, rows, head in parts:
        if rows:
            screen.line() if begun else None
            screen.table(rows, head=[title, *head])
            begun = True
    for change in found.data:
        _write_data(screen, change)
    _write_code(screen, found.code)
    if not (found.fields or found.data or found.code.files):
        screen.line(("\nthe same fields, code and data", "dim"))


def rows_of(rows: Sequence[Row], *, with_delta: bool = True) -> list[list[Cell]]:
    from sagespec.verbs.diff import delta_of

    found: list[list[Cell]] = []
    for row in rows:
        delta = delta_of(row)
        more: list[Cell] = ["-" if delta is None else f"{delta:+.4g}"] if with_delta else []
        found.append([row.name, *(_text(value) for value in row.values), *more])
    return found


def _text(value: Value) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.6g}"


def _write_data(screen: Screen, change: DataChange) -> None:
    screen.line(("\ndata  ", "dim"), str(change))
    for sign, keys in (("+", change.new), ("~", change.changed), ("-", change.gone)):
        for key in keys[:MOST_NAMED]:
            screen.line(f"  {sign} {key}")
        if len(keys) > MOST_NAMED:
            screen.line((f"  {sign} … and {len(keys) - MOST_NAMED:,} more", "dim"))


def _write_code(screen: Screen, code: CodeChange) -> None:
    if not code.files:
        return
    screen.line(("\ncode  ", "dim"), " -> ".join(_commit(code, number) for number in (0, 1)))
    for path, what in code.files.items():
        screen.line(f"  {_SIGNS[what]} {path}")
    if code.text is None:
        screen.line(("  git does not have both commits here, so the lines are not shown", "dim"))
    elif code.text:
        screen.line()
        for line in code.text.splitlines():
            screen.line((line, _TONES.get(line[:1], "")))


def _commit(code: CodeChange, number: int) -> str:
    return (code.commits[number][:7] or "no commit") + ("+" if code.dirty[number] else "")
