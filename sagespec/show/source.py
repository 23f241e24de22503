"""How far a followed branch has come: `sagespec source status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagespec.display import second_text
from sagespec.show.screen import Cell, Screen
from sagespec.state.source import AttemptResult, CommitEnd, Held, SourceRecord

if TYPE_CHECKING:
    from sagespec.verbs.source import SourceState

_TONES = {
    AttemptResult.APPLIED: "good",
    AttemptResult.APPLYING: "change",
    AttemptResult.SUPERSEDED: "dim",
    AttemptResult.FAILED: "bad",
    AttemptResult.WRONG: "bad",
}


def write_source(screen: Screen, state: SourceState) -> None:
    if screen.format == "json":
        screen.document(state.as_json())
        return
    screen.table(source_rows(state.record))
    if state.record.held and state.record.held.plan:
        screen.line()
        for line in state.record.held.plan:
            screen.line("  ", line)
    if state.ends:
        screen.line()
        screen.table([_row(end) for end in state.ends])


def source_rows(record: SourceRecord) -> list[list[Cell]]:
    """What is followed, what of it is applied, and why nothing newer is."""
    rows = list[list[Cell]]()
    rows.append(["follows", f"{record.branch} of {record.url}" if record.url else "nothing yet"])
    if record.environment:
        rows.append(["environment", record.environment])
    if record.applied:
        by = f", signed by {record.applied.verified_by}" if record.applied.verified_by else ""
        rows.append(["applied", f"{record.applied.commit[:12]} at {second_text(record.applied.at)}{by}"])
    attempted = record.attempted
    if attempted and attempted.result is not AttemptResult.APPLIED:
        tone, reason = _TONES[attempted.result], f": {attempted.reason}" if attempted.reason else ""
        rows.append(["newest", (f"{attempted.commit[:12]} is {attempted.result}{reason}", tone)])
    if record.held:
        fix = f"\nfix  {record.held.fix}" if record.held.fix else ""
        since = second_text(record.held.since)
        rows.append(["held", (f"{record.held.reason} since {since}: {record.held.text}{fix}", "bad")])
    if found := record.unreported:
        since = second_text(found.since)
        rows.append(["forge", (f"shows nothing new since {since}: {found.why}", "bad")])
    return rows


def _row(end: CommitEnd) -> list[Cell]:
    return [
        str(end.number),
        end.commit[:12],
        (str(end.result), _TONES[end.result]),
        second_text(end.ended_at),
        end.reason,
    ]


def write_released(screen: Screen, done: str, held: Held) -> None:
    """What somebody has approved or accepted."""
    if screen.format == "json":
        screen.document({done: {"commit": held.commit, "digest": held.digest}})
        return
    screen.line((done, "good"), f": {held.commit[:12]}; it is applied at the next look at the branch")
