"""Keeps everybody from changing an endpoint, a job, a notebook or the whole project, until somebody resumes it.

Either is written to the store without the lock: the next pass of any run finds it there. What was begun is not undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sagespec.errors import Problem, SpecError, WorldError, did_you_mean
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.records.holder import who_is_here
from sagespec.state.addresses import Address
from sagespec.state.suspension import PROJECT, Suspension


def suspensions(parts: Parts) -> tuple[Suspension, ...]:
    """Those that last, that of the whole project first."""
    now = datetime.now(UTC)
    lasting = [one for one in parts.leases().look().suspensions if not one.is_over(now)]
    return tuple(sorted(lasting, key=lambda one: (one.about != PROJECT, one.about)))


def suspend(
    parts: Parts, address: Address | None, *, reason: str, until: datetime | None, report: Report
) -> Suspension:
    """address: None for the whole project. The later one of two of the same thing counts."""
    now = datetime.now(UTC)
    if not reason.strip():
        raise SpecError("a suspension needs a reason", fix="say why with --reason, for whoever finds it")
    if until is not None and until <= now:
        raise SpecError(f"{until.isoformat()} is over", fix="--until takes a time to come, or a duration: 2h")
    if address is not None and address.kind == "gateway":
        raise WorldError(
            "the gateway is not suspended on its own",
            why="it serves every endpoint",
            fix="suspend an endpoint, or the whole project: `sagespec suspend --reason …`",
        )
    about = PROJECT if address is None else str(address.whole)
    before = next((one for one in suspensions(parts) if one.about == about), None)
    if before:
        report(Event(EventKind.NOTE, about, f"was {before.text}; this takes its place"))
    found = Suspension(about=about, reason=reason.strip(), by=who_is_here(), at=now, until=until)
    parts.records.write_suspension(found)
    return found


def resume(parts: Parts, address: Address | None) -> Suspension:
    """What ended. WorldError where it was not suspended."""
    about = PROJECT if address is None else str(address.whole)
    found = suspensions(parts)
    mine = next((one for one in found if one.about == about), None)
    if mine is None:
        raise WorldError(f"{_named(about)} is not suspended", fix=_fix(about, [one.about for one in found]))
    parts.records.forget_suspension(about)
    return mine


def refuse_suspended(parts: Parts) -> None:
    """For what would take everything away."""
    if found := suspensions(parts):
        raise WorldError(
            [
                Problem(one.text, about=one.about, fix="`sagespec resume` it first, or pass --even-suspended")
                for one in found
            ]
        )


def _named(about: str) -> str:
    return "the project" if about == PROJECT else about


def _fix(about: str, suspended: Sequence[str]) -> str:
    if PROJECT in suspended:
        return "the whole project is: `sagespec resume` ends that"
    if not suspended:
        return "nothing is suspended, so there is nothing to do"
    return did_you_mean(about, suspended) or f"what is suspended: {', '.join(suspended)}"
