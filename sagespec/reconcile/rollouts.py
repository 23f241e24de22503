"""A new model step by step: with each, its candidate gets more of the traffic, until it is live or taken back.

Called by `endpoints` with the goal. What is decided follows from the record of how far it has come (`state.progress`),
the counters and the time, so a run that was killed anywhere is continued by whoever makes the next pass. A route comes
before its record: killed in between, a step lasts longer, and none is left out. All containers of what is live stay
until the last step has passed (a rolling one: as many as have their share), so to take it back is one route.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sagespec.errors import Problem
from sagespec.ongoing import Rolling
from sagespec.plan import RecordProgress, SetRoutes
from sagespec.reconcile.at_once import steps_at_once
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.goals import Goal
from sagespec.reconcile.judging import counting, looked_again, over_at, requests_in_step, tallies
from sagespec.reconcile.judging import why_worse as why_worse_by_counts
from sagespec.reconcile.routes import route_is_off, wanted_route
from sagespec.reconcile.sides import (
    Rollout,
    leaving_of,
    record_progress,
    rollout_to,
    set_routes,
    sets_of,
    starts_of,
)
from sagespec.reconcile.standing import name_of, rolling, steps_ahead
from sagespec.reconcile.steps import Step, replaced_variants
from sagespec.reconcile.take_back import cancel, end_of, take_back
from sagespec.state.desired import DesiredEndpoint, desired_endpoint
from sagespec.state.hashes import same_hash
from sagespec.state.progress import Progress
from sagespec.state.revision import live_revision
from sagespec.state.rollout import Ending

NOBODY_HEALTHY_FOR = timedelta(seconds=5)  # of the candidate, before it is taken back


def reconcile_rollout(goal: Goal, given: Given, *, why_not: Problem | None) -> Decision | None:
    """What to do where the goal is reached step by step, or where another rollout has to end first; None elsewhere.

    why_not: why the goal is not the spec.
    """
    progress = given.observed.rollout_of(goal.endpoint.name)
    if progress is None:
        if not _takes_steps(goal) or not _serves(goal.before, given):
            return None
        return _begin(rollout_to(goal, given))
    if not _takes_steps(goal) or not _is_of(progress, goal.endpoint):
        return cancel(progress, goal, given, why_not)
    return _continue(rollout_to(goal, given), progress)


def reconcile_rollout_without_spec(progress: Progress, given: Given) -> Decision | None:
    """What was begun is seen to its end, though its spec is gone: the record says what it asked for."""
    revisions = given.observed.revisions.get(progress.endpoint, ())
    live = live_revision(revisions)
    if live is None:
        return None
    asked, before = (desired_endpoint(progress.endpoint, record) for record in (progress.asked, live.asked))
    goal = Goal(asked, True, before, progress.number)
    if not _takes_steps(goal):
        return None
    found = _continue(rollout_to(goal, given), progress)
    return replace(found, rolling=tuple(replace(one, has_spec=False) for one in found.rolling))


def judge_unrecorded(progress: Progress, given: Given) -> tuple[Progress, SetRoutes | None]:
    """For the time in which nothing can be recorded, and so no step be taken: the progress with what was seen until
    now, and the route that takes the candidate back where it has to be."""
    live = live_revision(given.observed.revisions.get(progress.endpoint, ()))
    reading, gateway = given.observed.readings.get(progress.endpoint), given.observed.gateway
    if live is None or reading is None or not gateway.answers:
        return progress, None
    asked, before = (desired_endpoint(progress.endpoint, record) for record in (progress.asked, live.asked))
    rollout = rollout_to(Goal(asked, True, before, progress.number), given)
    step = rollout.steps[min(progress.step, len(rollout.steps)) - 1]
    now = _look(rollout, progress, step, is_over=False) or progress
    if rollout.route_now is None or not rollout.is_routed:
        return now, None
    back = _taken_back(rollout, counting(now, reading), step, sees=True)
    routes = [action for action in back.actions if isinstance(action, SetRoutes)] if back else []
    return now, routes[0] if routes else None


def _takes_steps(goal: Goal) -> bool:
    """Whether it is a change of what is live that starts containers of another model, and may take its time."""
    if not goal.pending or goal.before is None or goal.live_number is not None:
        return False
    return goal.endpoint.record.rollout.is_stepwise and bool(_changed(goal.endpoint, goal.before))


def _changed(endpoint: DesiredEndpoint, before: DesiredEndpoint) -> tuple[str, ...]:
    """The variants that are replaced, but for those that are only restarted, or have a rotated secret."""

    def asked(one: DesiredEndpoint) -> dict[str, DesiredEndpoint]:
        records = {v.name: v.model_copy(update={"restart": 0, "secrets": {}}) for v in one.record.variants}
        return {n: desired_endpoint(n, one.record.model_copy(update={"variants": (r,)})) for n, r in records.items()}

    now, then = asked(endpoint), asked(before)
    return tuple(n for n, one in now.items() if n not in then or replaced_variants(one, then[n]))


def _serves(live: DesiredEndpoint | None, given: Given) -> bool:
    """Whether what is live is there: else there is nothing to be compared with, and nothing to go back to."""
    route = given.observed.gateway.routes.get(live.name) if live else None
    if live is None or route is None:
        return False
    there = {container.name for container in given.observed.containers_of(live.address)}
    hashes = {variant.name: variant.hash for variant in live.variants}
    return any(
        same_hash(hashes.get(target.variant, ""), target.hash) and there.intersection(target.instances)
        for target in route.targets
    )


def _is_of(progress: Progress, endpoint: DesiredEndpoint) -> bool:
    asked = desired_endpoint(endpoint.name, progress.asked)
    if not same_hash(progress.hash, endpoint.hash):
        return False
    hashes = [[variant.hash for variant in one.variants] for one in (asked, endpoint)]
    return len(hashes[0]) == len(hashes[1]) and all(map(same_hash, *hashes))


# -- the steps


def _begin(rollout: Rollout) -> Decision:
    """Start what the first step needs, and take it once that is healthy. What is live is repaired first."""
    step, given = rollout.steps[0], rollout.given
    old, new = rollout.sides(step)
    (restores, repairs), (starts, awaits) = starts_of(rollout, old, new)
    route_now, live = rollout.route_now, wanted_route(rollout.live.endpoint, old)
    sets: tuple[SetRoutes, ...] = ()
    records: tuple[RecordProgress, ...] = ()
    if restores or repairs or given.gateway:
        if repairs or given.gateway or route_is_off(route_now, live, rollout.live.endpoint, given.observed):
            after = tuple(action.id for action in repairs) or given.gateway_ids
            sets = (set_routes(rollout, live, after, "to what is live", "live"),)
    else:
        after = tuple(action.id for action in awaits) or given.gateway_ids
        sets = sets_of(rollout, rollout.route(step), bool(awaits), after, step)
        begun = Progress(
            endpoint=rollout.name,
            number=rollout.goal.next_number,
            hash=rollout.goal.endpoint.hash,
            asked=rollout.goal.endpoint.record,
            step=1,
            since=given.now,
            begun=given.now,
        )
        records = (record_progress(rollout, begun, tuple(a.id for a in sets) or after, f"{name_of(step)} begins"),)
    goes = leaving_of(rollout, (*old, *new), tuple(action.id for action in sets))
    ahead = steps_ahead(rollout.goal.endpoint.address, rollout.steps, rollout.goal.next_number)
    return Decision((*restores, *starts, *repairs, *awaits, *sets, *records, *goes), notes=(ahead,))


def _continue(rollout: Rollout, progress: Progress) -> Decision:
    """What the counters and the time ask for."""
    given, step = rollout.given, rollout.steps[min(progress.step, len(rollout.steps)) - 1]
    reading = given.observed.readings.get(rollout.name)
    sees = given.observed.gateway.answers and not given.gateway and reading is not None
    is_over = sees and given.now >= over_at(progress, step.seconds)
    looked = _look(rollout, progress, step, is_over=is_over) if sees else None
    now = looked or (counting(progress, reading) if reading is not None else progress)
    is_over = is_over and given.now >= over_at(now, step.seconds)
    if back := _taken_back(rollout, now, step, sees=sees):
        return back
    promotion = given.observed.promotions.get(rollout.name)
    if promotion and promotion.is_for(progress):
        why = f"promoted by {promotion.by}" + (f": {promotion.reason}" if promotion.reason else "")
        return _finish(rollout, now, step, Ending.PROMOTED, why)
    if is_over and not _is_held(rollout, now):
        if step.number == step.steps:
            return _finish(rollout, now, step, Ending.LIVE, "")
        return _advance(rollout, now, step, has_looked=looked is not None)
    return _stay(rollout, now, step, has_looked=looked is not None)


def _taken_back(rollout: Rollout, progress: Progress, step: Step, *, sees: bool) -> Decision | None:
    abort = rollout.given.observed.aborts.get(rollout.name)
    if abort and abort.is_for(progress):
        why = f"aborted by {abort.by}" + (f": {abort.reason}" if abort.reason else "")
        return take_back(rollout, progress, Ending.ABORTED, why)
    if why := _why_worse(rollout, progress, step, sees=sees):
        return take_back(rollout, progress, Ending.TAKEN_BACK, why)
    return None


def _look(rollout: Rollout, progress: Progress, step: Step, *, is_over: bool) -> Progress | None:
    """The progress with what is new, to be written; None where nothing is."""
    reading, now = rollout.given.observed.readings.get(rollout.name), rollout.given.now
    looked = looked_again(progress, reading, rollout.pairs, now, is_over=is_over) if reading is not None else None
    is_down = _is_down(rollout, step)
    if is_down != (progress.down_since is not None):
        looked = (looked or progress).model_copy(update={"down_since": now if is_down else None})
    return looked


def _is_down(rollout: Rollout, step: Step) -> bool:
    """Whether a variant of the candidate has no healthy instance. What is live has one: where that has none, either,
    as after the machine was started again, it says nothing of the candidate."""
    probes = rollout.given.observed.gateway.probes
    healthy = {name for name, probe in probes.items() if probe.healthy}
    old, new = rollout.sides(step)
    if healthy.isdisjoint(i.container for i in old):
        return False
    return any(
        healthy.isdisjoint(i.container for i in new if i.variant.name == name) for name in step.new if step.new[name]
    )


def _why_worse(rollout: Rollout, progress: Progress, step: Step, *, sees: bool) -> str:
    now, limit = rollout.given.now, rollout.goal.endpoint.record.rollout.timeout
    if sees and why_worse_by_counts(progress, rollout.pairs):
        return why_worse_by_counts(progress, rollout.pairs)
    if sees and progress.down_since and now - progress.down_since >= NOBODY_HEALTHY_FOR:
        return f"none of its instances was healthy for {(now - progress.down_since).total_seconds():.0f} s"
    if limit is not None and now - progress.begun > timedelta(seconds=limit):
        return f"it took more than its timeout of {limit:g} s"
    if sees and step.share and not rollout.is_routed:
        return "the run that took it back could not record why"
    return ""


def _is_held(rollout: Rollout, progress: Progress) -> bool:
    holds = rollout.goal.endpoint.record.rollout.no_requests == "hold"
    return holds and not requests_in_step(progress, rollout.pairs)


def _stay(rollout: Rollout, progress: Progress, step: Step, *, has_looked: bool) -> Decision:
    """Keep the step: repair what is not there, and write down what is new."""
    given, (old, new) = rollout.given, rollout.sides(step)
    (restores, repairs), (starts, awaits) = starts_of(rollout, old, new)
    after = tuple(action.id for action in (*repairs, *awaits)) or given.gateway_ids
    is_new = bool(restores or starts or repairs or awaits or given.gateway)
    sets = sets_of(rollout, rollout.route(step), is_new, after, step)
    records = (record_progress(rollout, progress, (), "what was counted"),) if has_looked else ()
    goes = leaving_of(rollout, (*old, *new), tuple(action.id for action in sets))
    return Decision(
        (*restores, *starts, *repairs, *awaits, *sets, *records, *goes), rolling=(_stands(rollout, progress, step),)
    )


def _advance(rollout: Rollout, progress: Progress, step: Step, *, has_looked: bool) -> Decision:
    """To the next step. A rolling one lets a batch of old instances go before it starts one of new ones."""
    given, following = rollout.given, rollout.steps[step.number]
    smaller = replace(step, old=following.old)
    # A batch of new ones that has started already stays, although it is not healthy yet.
    kept = {i.container for one in (smaller, following) for side in rollout.sides(one) for i in side}
    if any(c.name not in kept for c in given.observed.containers_of(rollout.goal.endpoint.address)):
        return _stay(rollout, progress, smaller, has_looked=has_looked)
    old, new = rollout.sides(following)
    (restores, repairs), (starts, awaits) = starts_of(rollout, old, new)
    after = tuple(action.id for action in (*repairs, *awaits)) or given.gateway_ids
    sets = sets_of(rollout, rollout.route(following), bool(repairs or awaits), after, following)
    begun = progress.model_copy(
        update={
            "step": following.number,
            "since": given.now,
            "looked_at": given.now,
            "at_step": progress.totals,
            "gateway_since": None,
        }
    )
    name, is_idle = name_of(following), not requests_in_step(progress, rollout.pairs)
    text = f"{name} begins, no requests seen" if is_idle else f"{name} begins"
    records: tuple[RecordProgress, ...] = (record_progress(rollout, begun, tuple(a.id for a in sets) or after, text),)
    if has_looked and (starts or awaits):  # the next step may be minutes away
        records = (record_progress(rollout, progress, (), "what was counted"), *records)
    return Decision(
        (*restores, *starts, *repairs, *awaits, *sets, *records), rolling=(_stands(rollout, progress, step),)
    )


def _finish(rollout: Rollout, progress: Progress, step: Step, ending: Ending, why: str) -> Decision:
    """All of it is live, and the old containers go."""
    end = end_of(progress, rollout, step, ending, why or _said(progress, rollout))
    return Decision(steps_at_once(rollout.goal, rollout.given, rollout=end))


def _said(progress: Progress, rollout: Rollout) -> str:
    return "" if tallies(progress, rollout.pairs)[0].requests else "no requests seen"


def _stands(rollout: Rollout, progress: Progress, step: Step) -> Rolling:
    about, given = rollout.goal.endpoint.address, rollout.given
    return rolling(about, progress, step, given.now, tallies(progress, rollout.pairs))
