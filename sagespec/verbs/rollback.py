"""Rolls an endpoint back to an earlier live revision.

The roll-back is a request in the store, recorded before anything is done: whoever makes passes carries it out, `watch`
too, and nobody works against it. A revision is recorded when it serves.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.errors import Problem, SpecError, WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.holder import who_is_here
from sagespec.records.leases import AtWork
from sagespec.state.addresses import endpoint_address
from sagespec.state.desired import Desired, DesiredEndpoint, desired_endpoint
from sagespec.state.observed import Observed
from sagespec.state.revision import Revision, RevisionStatus, RollbackRequest, live_revision
from sagespec.state.rollout import Ending
from sagespec.verbs.history import unknown_endpoint
from sagespec.verbs.locked import run_of
from sagespec.verbs.plan import snapshot
from sagespec.verbs.refused_models import Rejected, jobs_of, why_refused


def rollback(
    parts: Parts,
    endpoint_name: str,
    *,
    to: int | None,
    reason: str,
    plan_digest: str | None = None,
    report: Report,
    cancelled: threading.Event | None,
    wait_for_lock_seconds: float,
) -> Converged:
    """plan_digest: of the plan that was shown; SpecError where there would be another by now."""
    run = run_of(
        parts,
        "rollback",
        partial(_look_at, parts, endpoint_name),
        Options(even_suspended=True),
        report=report,
        cancelled=cancelled,
        wait_seconds=wait_for_lock_seconds,
    )
    with run.around.lock():
        at_work = run.around.open_world().leases.look()
        asked = at_work.rollbacks.get(endpoint_name)
        if to is None and asked and not asked.is_over(parts.records.history(endpoint_name)):
            report(Event(EventKind.NOTE, str(endpoint_address(endpoint_name)), "continuing an earlier rollback"))
        else:
            desired, observed = _look_at(parts, endpoint_name, at_work)
            asked = request_of(parts, desired.endpoints[0], to, reason)
            _refuse_models(parts, asked, desired.rejected)
            if plan_digest is not None and _plan_of(desired, observed, asked).digest != plan_digest:
                raise _changed(endpoint_name, asked.number)
            parts.records.write_rollback(asked)
    converged = converge(run)
    if not converged.cancelled:
        forget(run, asked)  # what has failed now would be tried again by whoever comes next
    return _judged(parts, asked, converged)


def plan_rollback(parts: Parts, endpoint_name: str, to: int | None) -> tuple[int, Plan]:
    """What `rollback` would do now, and the number of the revision it would go to."""
    desired, observed = _look_at(parts, endpoint_name, parts.leases().look())
    asked = request_of(parts, desired.endpoints[0], to, "")
    _refuse_models(parts, asked, desired.rejected)
    return asked.number, _plan_of(desired, observed, asked)


def _plan_of(desired: Desired, observed: Observed, asked: RollbackRequest) -> Plan:
    """Of this endpoint alone: what the specs do not name is no part of a roll-back."""
    with_request = replace(observed, rollbacks={asked.endpoint: asked})
    plan = reconcile(desired, with_request, datetime.now(UTC))
    address = str(endpoint_address(asked.endpoint))
    return replace(plan, notes=tuple(note for note in plan.notes if note.startswith(address)))


def _changed(endpoint_name: str, number: int) -> SpecError:
    return SpecError(
        Problem(
            f"rolling back to revision {number} is something else by now than what was shown",
            about=str(endpoint_address(endpoint_name)),
            why="its spec, its instances or its revisions have changed since",
            fix="look at the new plan, and roll back from there",
        )
    )


def forget(run: Run, asked: RollbackRequest) -> None:
    """Remove the request, unless it has made room for another one by now."""
    with suppress(WorldError), run.around.lock():
        world = run.around.open_world()
        if world.leases.look().rollbacks.get(asked.endpoint) == asked:
            world.records.forget_rollback(asked.endpoint)


def _judged(parts: Parts, asked: RollbackRequest, converged: Converged) -> Converged:
    """A roll-back that was not carried out is a problem, even where nothing has failed: its spec was edited."""
    address = str(endpoint_address(asked.endpoint))
    plan = replace(converged.plan, notes=tuple(note for note in converged.plan.notes if note.startswith(address)))
    live = live_revision(parts.records.revisions([asked.endpoint]).get(asked.endpoint, ()))
    if converged.ok and (live is None or live.hash != asked.hash):
        what = f"was not rolled back to revision {asked.number}"
        why = "its spec was edited meanwhile, or somebody else rolled it back"
        plan = replace(plan, refused=(*plan.refused, Problem(what, about=address, why=why, fix="roll it back again")))
    return replace(converged, plan=plan)


def _look_at(parts: Parts, endpoint_name: str, at_work: AtWork) -> tuple[Desired, Observed]:
    """This endpoint alone: whatever else the specs ask for is none of a roll-back's business."""
    desired, observed = snapshot(parts, at_work, check_paths=False)
    mine = next((endpoint for endpoint in desired.endpoints if endpoint.name == endpoint_name), None)
    mine = mine or _as_live(parts, endpoint_name)
    return replace(desired, jobs=(), endpoints=(mine,)), observed


def _as_live(parts: Parts, endpoint_name: str) -> DesiredEndpoint:
    """Of an endpoint that is in no spec: what is live counts as its spec."""
    live = live_revision(parts.records.revisions([endpoint_name]).get(endpoint_name, ()))
    if live is None:
        raise unknown_endpoint(parts, endpoint_name, "has never been live")
    return desired_endpoint(endpoint_name, live.asked)


def request_of(parts: Parts, desired: DesiredEndpoint, to: int | None, reason: str) -> RollbackRequest:
    """The request to roll `desired`, an endpoint as its spec is now, back. SpecError when there is nothing to go to."""
    history = parts.records.history(desired.name)
    live = live_revision(history)
    if live is None:
        raise unknown_endpoint(parts, desired.name, "has never been live")
    target = rollback_target(history, live, to)
    return RollbackRequest(
        endpoint=desired.name,
        number=target.number,
        hash=target.hash,
        asked=target.asked,
        instead_of=desired.hash,
        after=history[-1].number,
        reason=reason,
        by=who_is_here(),
        at=datetime.now(UTC),
    )


def _refuse_models(parts: Parts, asked: RollbackRequest, rejected: Rejected) -> None:
    """SpecError where it would bring back a model that is rejected, or is not in the store any more."""
    jobs = jobs_of(asked.asked)
    manifests = parts.records.manifests(jobs)
    about, environment = f"endpoint/{asked.endpoint}", parts.environment
    found = [why_refused(job, rejected, manifests, about, environment=environment) for job in sorted(jobs)]
    if problem := next((one for one in found if one), None):
        what = f"revision {asked.number} cannot be served again: {problem.what}"
        raise SpecError(replace(problem, what=what, fix=f"choose another revision with --to; or {problem.fix}"))


def rollback_target(history: Sequence[Revision], live: Revision, to: int | None) -> Revision:
    """Revision `to`, or the last one that was live before `live` and has not been rolled back since.

    SpecError when there is none.
    """
    newest = {revision.hash: revision for revision in history if _was_live(revision)}
    was_live = rollback_targets(history, live)
    good = [r for r in was_live if newest[r.hash].status is not RevisionStatus.ROLLED_BACK]
    if to is None and good:
        return good[-1]
    match = next((revision for revision in was_live if revision.number == to), None)
    if match:
        return match
    raise SpecError(_no_target(live, to, history, was_live))


def rollback_targets(history: Sequence[Revision], live: Revision) -> list[Revision]:
    """All that `--to` may name, oldest first."""
    return [
        revision
        for revision in history
        if _was_live(revision)
        and revision.status is not RevisionStatus.REMOVED
        and revision.number < live.number
        and revision.hash != live.hash
    ]


def _was_live(revision: Revision) -> bool:
    """A rollout that was cancelled counts as rolled back, and was never live."""
    is_cancelled = revision.rollout is not None and revision.rollout.ending is Ending.CANCELLED
    return revision.status is not RevisionStatus.FAILED and not is_cancelled


def _no_target(live: Revision, to: int | None, history: Sequence[Revision], was_live: Sequence[Revision]) -> Problem:
    asked = next((revision for revision in history if revision.number == to), None)
    if to is None:
        what = "every earlier revision was rolled back" if was_live else "no earlier revision was live"
    elif asked is None:
        what = f"there is no revision {to}"
    elif asked.hash == live.hash:
        what = f"revision {to} is what is live now"
    else:
        what = f"revision {to} was never live"
    numbers = ", ".join(str(revision.number) for revision in was_live)
    fix = f"choose one with --to: {numbers}" if numbers else "there is nothing to roll back to"
    return Problem(what=what, about=f"endpoint/{live.endpoint}", fix=fix)
