"""What is suspended: by whom, why, since when, and what is held back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sagespec.display import minute_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.ongoing import Suspended
    from sagespec.state.suspension import Suspension


def suspended_rows(suspended: Iterable[Suspended]) -> list[list[Cell]]:
    """Of a plan or status: what is suspended, and each action that is held back."""
    tones = {"suspended": "bad", "held back": "change"}
    rows = [row for one in suspended for row in one.rows]
    return [[(word, tones[word]), about, (text, "dim")] for word, about, text in rows]


def write_suspended(screen: Screen, found: Suspension, environment: str) -> None:
    if screen.format == "json":
        screen.document({"suspended": found.as_json()})
        return
    until = f" until {minute_text(found.until)}" if found.until else ""
    words = f"sagespec resume{_named(found)}{f' --env {environment}' if environment else ''}"
    screen.line(("suspended", "good"), f": {found.about}{until}; `{words}` ends it")


def write_resumed(screen: Screen, found: Suspension) -> None:
    if screen.format == "json":
        screen.document({"resumed": found.as_json()})
        return
    screen.line(("resumed", "good"), f": {found.about}; it was {found.text}")


def _named(found: Suspension) -> str:
    return "" if found.about == "project" else f" {found.about}"
