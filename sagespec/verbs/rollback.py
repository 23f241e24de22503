"""Rolls an endpoint back to an earlier live revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sagespec.converge import Converged
from sagespec.errors import Problem, SpecError
from sagespec.state.revision import Revision, RevisionStatus

if TYPE_CHECKING:
    from sagespec.converge import Converged


def without_its_own_refusal(converged: Converged, address: str) -> Converged:
    """That the endpoint's spec is not put back is refused by every plan from now on: here it is what was wanted."""
    refused = tuple(problem for problem in converged.plan.refused if problem.about != address)
    notes = converged.plan.notes
    if refused != converged.plan.refused:
        notes += (f"{address}: its spec is not put back by apply until it changes (or with --retry)",)
    return replace(converged, plan=replace(converged.plan, refused=refused, notes=notes))


def rollback_target(history: Sequence[Revision], live: Revision, to: int | None) -> Revision:
    good = [
        revision
        for revision in history
        if revision.status is RevisionStatus.LIVE
        and revision.number < live.number
        and revision.hash not in (live.hash, live.instead_of)
    ]
    if to is None and good:
        return good[-1]
    match = next((revision for revision in good if revision.number == to), None)
    if match:
        return match
    numbers = ", ".join(str(revision.number) for revision in good)
    raise SpecError(
        Problem(
            what=f"revision {to} was never live, or is what is live now" if to else "no earlier revision was live",
            about=f"endpoint/{live.endpoint}",
            fix=f"choose one of: {numbers}" if numbers else "there is nothing to go back to",
        )
    )
