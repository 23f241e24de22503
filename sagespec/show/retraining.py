"""Specs that were edited, and jobs that are to be trained once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.show.figures import seconds_text
from sagespec.show.screen import Screen

if TYPE_CHECKING:
    from sagespec.verbs.due import Due
    from sagespec.verbs.written import Written


def write_written(screen: Screen, written: Written) -> None:
    if screen.format == "json":
        screen.document(written.as_json())
        return
    screen.line((f"{written.file}:{written.line}", "bold"), f"  {written.about}")
    for setting in written.settings:
        screen.line(f"  {setting}")
    screen.line((f"Commit it, e.g. with the message: {written.message}", "dim"))


def write_due(screen: Screen, found: Sequence[Due]) -> None:
    if screen.format == "json":
        screen.document({"due": [one.as_json() for one in found]})
        return
    if not found:
        screen.line("no job has `retrain`")
    for one in found:
        tone = "change" if one.is_due else "dim"
        took = f", about {seconds_text(one.seconds)}" if one.is_due and one.seconds else ""
        said = f"due: version {one.next_version}{took}" if one.is_due else "not due"
        screen.line((str(one.job), "bold"), "  ", (said, tone))
        for why in one.why:
            screen.line(f"  {why}")
        if one.turned_down:
            screen.line(("  turned down", "bad"), f": {one.turned_down.url}\n  {one.turned_down.text}")
        for note in one.notes:
            screen.line((f"  {note}", "dim"))
