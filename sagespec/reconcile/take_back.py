"""The end of a rollout without its candidate: its share goes back to what is live, and that is recorded.

Called by `rollouts`. The route is the first action and waits for nothing; the containers go in the pass after it.
"""

from __future__ import annotations

from sagespec.causes import Cause, Reason
from sagespec.errors import Problem
from sagespec.plan import RecordRevision, SetRoutes
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.goals import Goal
from sagespec.reconcile.judging import rate_text, tallies
from sagespec.reconcile.routes import serving_targets, wanted_route
from sagespec.reconcile.sides import Rollout, rollout_to, set_routes
from sagespec.reconcile.standing import percent
from sagespec.reconcile.steps import Step, replaced_variants
from sagespec.state.desired import desired_endpoint
from sagespec.state.observed import ContainerState
from sagespec.state.progress import Progress
from sagespec.state.revision import RevisionStatus, live_revision
from sagespec.state.rollout import Ending, RolloutEnd


def take_back(rollout: Rollout, progress: Progress, ending: Ending, why: str) -> Decision:
    """Its share goes back to what is live: one route, which waits for nothing. Its containers go after that."""
    step = rollout.steps[min(progress.step, len(rollout.steps)) - 1]
    candidate, live = tallies(progress, rollout.pairs)
    counted = f"errors {rate_text(candidate)} against {rate_text(live)}"
    what = {Ending.ABORTED: why, Ending.CANCELLED: f"cancelled: {why}"}.get(ending, f"taken back: {why}")
    numbers = "" if "errors" in why else f"; {counted if candidate.requests else 'no requests seen'}"
    reason = f"{what}, in step {step.number} of {step.steps} ({percent(step.share)}){numbers}"
    there = _alive(rollout)
    back = tuple(i for i in rollout.old if i.container in there)
    sets: tuple[SetRoutes, ...] = ()
    is_whole = len(back) == len(rollout.old)
    if is_whole or (back and ending is not Ending.CANCELLED):  # else the candidate serves until what is live is there
        route = wanted_route(rollout.live.endpoint, back)
        if rollout.route_now is None or serving_targets(rollout.route_now) != serving_targets(route):
            sets = (set_routes(rollout, route, rollout.given.gateway_ids, what, "back"),)
    record = RecordRevision(
        about=rollout.goal.endpoint.address,
        cause=Cause(Reason.ROLLOUT, note=f"revision {progress.number} is {ending.replace('_', ' ')} ({why})"),
        after=tuple(action.id for action in sets) or rollout.given.gateway_ids,
        number=progress.number,
        status=RevisionStatus.ROLLED_BACK if ending is Ending.CANCELLED else RevisionStatus.FAILED,
        endpoint_hash=progress.hash,
        record=progress.asked,
        started_at=progress.begun,
        reason=reason,
        rollout=end_of(progress, rollout, step, ending, why),
    )
    return Decision((*sets, record))


def cancel(progress: Progress, goal: Goal, given: Given, why_not: Problem | None) -> Decision | None:
    """A rollout that nobody wants any more ends first; the pass after that leads to the goal."""
    live = live_revision(given.observed.revisions.get(goal.endpoint.name, ()))
    if live is None:
        return None
    before = desired_endpoint(goal.endpoint.name, live.asked)
    candidate = Goal(desired_endpoint(goal.endpoint.name, progress.asked), True, before, progress.number)
    if not replaced_variants(candidate.endpoint, before):
        return None
    if goal.live_number is not None:
        why = goal.reason
    elif why_not:
        why = why_not.what
    else:
        why = "a newer spec is there" if goal.pending else f"its spec asks for revision {live.number}, which is live"
    return take_back(rollout_to(candidate, given), progress, Ending.CANCELLED, why)


def _alive(rollout: Rollout) -> frozenset[str]:
    containers = rollout.given.observed.containers_of(rollout.goal.endpoint.address)
    leaving = rollout.given.observed.leaving
    return frozenset(c.name for c in containers if c.state is ContainerState.RUNNING and c.name not in leaving)


def end_of(progress: Progress, rollout: Rollout, step: Step, ending: Ending, why: str) -> RolloutEnd:
    candidate, live = tallies(progress, rollout.pairs)
    return RolloutEnd(
        ending=ending,
        why=why,
        strategy=progress.asked.rollout.strategy,
        step=step.number,
        steps=step.steps,
        share=step.share,
        begun=progress.begun,
        by=progress.by,
        candidate=candidate,
        live=live,
    )
