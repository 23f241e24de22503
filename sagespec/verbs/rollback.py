"""Rolls an endpoint back to an earlier live revision."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.errors import Problem, SpecError
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts, git_state
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.state.addresses import endpoint_address
from sagespec.state.desired import Desired, desired_endpoint
from sagespec.state.observed import Observed
from sagespec.state.revision import Revision, RevisionStatus, live_revision
from sagespec.verbs.history import unknown_endpoint
from sagespec.verbs.locked import run_of
from sagespec.verbs.plan import snapshot


def rollback(
    parts: Parts,
    endpoint_name: str,
    *,
    to: int | None,
    reason: str,
    report: Report,
    cancelled: threading.Event | None,
    wait_for_lock_seconds: float,
) -> Converged:
    address = str(endpoint_address(endpoint_name))
    run = run_of(
        parts,
        "rollback",
        partial(_look_at, parts, endpoint_name),
        Options(),
        report=report,
        cancelled=cancelled,
        wait_seconds=wait_for_lock_seconds,
    )
    with run.around.lock():
        if to is None and _is_being_rolled_back(parts, endpoint_name):
            report(Event(EventKind.NOTE, address, "continuing an earlier rollback"))
        else:
            record_rollback(parts, endpoint_name, to, reason)
    return _without_its_own_refusal(converge(run), address)


def _look_at(parts: Parts, endpoint_name: str, at_work: AtWork) -> tuple[Desired, Observed]:
    """This endpoint alone: whatever else the specs ask for is none of a rollback's business."""
    desired, observed = snapshot(parts, at_work, check_paths=False)
    only_it = tuple(endpoint for endpoint in desired.endpoints if endpoint.name == endpoint_name)
    return replace(desired, jobs=(), endpoints=only_it), observed


def _without_its_own_refusal(converged: Converged, address: str) -> Converged:
    """Every later plan refuses to put the endpoint's spec back; right after a rollback, that is intended."""
    refused = tuple(problem for problem in converged.plan.refused if problem.about != address)
    notes = tuple(note for note in converged.plan.notes if address in note)
    if refused != converged.plan.refused:
        notes += (f"{address}: apply does not put its spec back until it changes (or with --retry)",)
    return replace(converged, plan=replace(converged.plan, refused=refused, notes=notes))


def _is_being_rolled_back(parts: Parts, endpoint_name: str) -> bool:
    """Whether a roll-back was recorded and its models do not have the traffic yet: it was cut short."""
    live = live_revision(parts.records.revisions([endpoint_name]).get(endpoint_name, ()))
    if live is None or not live.instead_of:
        return False
    route = parts.gateway.observe(parts.runtime.containers()).routes.get(endpoint_name)
    served = {(target.variant, target.hash) for target in route.targets if target.instances} if route else set()
    wanted = {(variant.name, variant.hash) for variant in desired_endpoint(endpoint_name, live.asked).variants}
    return not wanted <= served


def record_rollback(parts: Parts, endpoint_name: str, to: int | None, reason: str) -> None:
    """Record that an earlier revision is live again, and that the present one was rolled back."""
    history = parts.records.history(endpoint_name)
    live = live_revision(history)
    if live is None:
        raise unknown_endpoint(parts, endpoint_name, "has never been live")
    target = rollback_target(history, live, to)
    now, git = datetime.now(UTC), git_state(parts.root)
    # The new revision first: killed between the two, it is what counts, and the mark is for people.
    parts.records.write_revision(
        Revision(
            endpoint=endpoint_name,
            number=history[-1].number + 1,
            hash=target.hash,
            status=RevisionStatus.LIVE,
            asked=target.asked,
            reason=reason or f"rolled back to revision {target.number}",
            instead_of=live.hash,
            git=git,
            started_at=now,
            ended_at=now,
        )
    )
    parts.records.write_revision(
        live.model_copy(update={"status": RevisionStatus.ROLLED_BACK, "reason": reason, "ended_at": now})
    )


def rollback_target(history: Sequence[Revision], live: Revision, to: int | None) -> Revision:
    """Revision `to`, or the last one that was live before `live`. SpecError when there is none."""
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
            what=f"revision {to} was never live, or is live now" if to else "no earlier revision was live",
            about=f"endpoint/{live.endpoint}",
            fix=f"choose one of: {numbers}" if numbers else "there is nothing to roll back to",
        )
    )
