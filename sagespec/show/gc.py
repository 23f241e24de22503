"""What `gc` keeps, has marked and has deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagespec.show.figures import counted, size_text, when_text
from sagespec.show.screen import Cell, Screen
from sagespec.state.sweeping import WAITS

if TYPE_CHECKING:
    from sagespec.verbs.gc import Collected, Held
    from sagespec.verbs.gc_images import ImagesCollected

HEAD = ("JOB", "STATE", "SIZE", "WHY")
_TONES = {"kept": "dim", "unnamed": "change", "marked": "change", "due": "bad", "swept": "bad"}


def write_collected(screen: Screen, found: Collected) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
        return
    if found.jobs:
        screen.table([row_of(one) for one in found.jobs], head=HEAD)
        screen.line()
    for note in found.notes:
        screen.line((f"note: {note}", "dim"))
    screen.line(next_step(found))


def row_of(one: Held) -> list[Cell]:
    return [str(one.job), (one.state, _TONES[one.state]), size_text(one.bytes), _why(one)]


def _why(one: Held) -> str:
    if one.state == "kept":
        more = f", and {counted(len(one.reasons) - 1, 'more reason')}" if len(one.reasons) > 1 else ""
        return f"{one.reasons[0]}{more}"
    if one.state == "unnamed":
        return "nothing names it"
    if one.state == "swept":
        return "its manifest, logs and metrics stay"
    if one.since is None:
        return "-"
    return f"marked {when_text(one.since)}" + (
        f"; sweep from {when_text(one.since + WAITS)}" if one.state == "marked" else ""
    )


def next_step(found: Collected) -> str:
    if swept := found.of("swept"):
        return f"swept {counted(len(swept), 'job')}: {size_text(sum(one.bytes for one in swept))} are free"
    if due := found.of("due"):
        return f"{counted(len(due), 'job')} can be swept: sagespec gc --sweep"
    if marked := found.of("marked"):
        return f"{counted(len(marked), 'job')} marked; nothing is deleted before a week has passed"
    if unnamed := found.of("unnamed"):
        free = size_text(sum(one.bytes for one in unnamed))
        return f"nothing names {counted(len(unnamed), 'job')} ({free}): sagespec gc --mark begins the week of waiting"
    return "everything is needed"


def write_images_collected(screen: Screen, found: ImagesCollected) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
        return
    gone = set(found.removed or ())
    rows: list[list[Cell]] = []
    for image in found.unneeded:
        state = "unneeded" if found.removed is None else "removed" if image.reference in gone else "in use"
        rows.append([image.reference, state, size_text(image.size)])
    if rows:
        screen.table(rows, head=("IMAGE", "STATE", "SIZE"))
    elif not rows:
        screen.line("every image that sagespec has built here is needed")
    if rows and found.removed is None:
        screen.line("\nto remove them: sagespec gc --images --sweep")
