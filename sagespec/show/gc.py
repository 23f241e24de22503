"""What `gc` keeps, has marked and has deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagespec.show.figures import counted, size_text, until_text, when_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from datetime import datetime

    from sagespec.state.sweeping import Marks
    from sagespec.verbs.gc import Collected, Held
    from sagespec.verbs.gc_images import ImagesCollected

HEAD = ("JOB", "STATE", "SIZE", "WHY")
_TONES = {"kept": "dim", "unnamed": "change", "marked": "change", "due": "bad", "swept": "bad"}


def write_collected(screen: Screen, found: Collected) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
        return
    shown = (*found.jobs, *found.earlier)
    if shown:
        screen.table([row_of(one) for one in shown], head=HEAD)
        screen.line()
    for note in found.notes:
        screen.line((f"note: {note}", "dim"))
    screen.line(next_step(found))


def row_of(one: Held) -> list[Cell]:
    return [str(one.job), (one.state, _TONES[one.state]), size_text(one.bytes) if one.bytes else "-", why_text(one)]


def why_text(one: Held) -> str:
    if one.state == "kept":
        more = f", and {counted(len(one.reasons) - 1, 'more reason')}" if len(one.reasons) > 1 else ""
        return f"{one.reasons[0]}{more}"
    if one.state == "unnamed":
        return "nothing names it"
    if one.state == "swept":
        return f"{when_text(one.since)}: its manifest, logs and metrics stay"
    later = f"; sweep from {when_text(one.due_at)}" if one.state == "marked" else ""
    return f"marked {when_text(one.since)}{later}"


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


MARKS_HEAD = ("GC", "STATE", "WHEN")
MOST_MARKS = 10  # of each state; JSON has all


def marks_rows(marks: Marks, now: datetime) -> list[list[Cell]]:
    """Of `status`: what will be deleted and when, the soonest first; then what was, the newest first."""
    rows = list[list[Cell]]()
    for job, mark in sorted(marks.jobs.items(), key=lambda one: (one[1].due_at, one[0])):
        if mark.due_at > now:
            when = f"{until_text(mark.due_at, now)}, from {when_text(mark.due_at)}, if nothing names it by then"
            rows.append([job, ("marked", "change"), when])
        else:
            rows.append([job, ("due", "bad"), f"at the next sagespec gc --sweep, since {when_text(mark.due_at)}"])
    gone = sorted(marks.swept.items(), key=lambda one: one[1], reverse=True)
    swept: list[list[Cell]] = [[job, ("swept", "bad"), f"{when_text(at)}: its model is gone"] for job, at in gone]
    return [*_first(rows), *_first(swept)]


def _first(rows: list[list[Cell]]) -> list[list[Cell]]:
    more = len(rows) - MOST_MARKS
    last: list[Cell] = [f"and {more} more", "", "sagespec gc lists them"]
    return [*rows[:MOST_MARKS], *([last] if more > 0 else [])]


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
