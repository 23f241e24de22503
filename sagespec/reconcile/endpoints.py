"""Endpoints: which instances start, take traffic, drain and go.

The goal of an endpoint (`goals`) is its spec, unless that failed before or its model is missing; then it is the
live revision. From goal and snapshot follows one fixed sequence: start, await healthy, route, record, drain,
remove. Steps whose effect exists already are left out, which is also how an interrupted run is resumed.
"""

from __future__ import annotations

from sagespec.plan import (
    Action,
    Cause,
    Reason,
    RecordRevision,
    SetRoutes,
)
from sagespec.reconcile.causes import route_cause, route_changes, setting_changes
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.goals import Goal, choose_goal
from sagespec.reconcile.instances import await_actions, start_action, wanted_instances
from sagespec.reconcile.leaving import removals, remove_idle
from sagespec.reconcile.restarts import notes_of_images, with_restarts
from sagespec.reconcile.routes import route_is_off, routed_names, wanted_route, with_draining
from sagespec.state.desired import DesiredEndpoint
from sagespec.state.revision import RevisionStatus


def reconcile_endpoint(desired: DesiredEndpoint, given: Given) -> Decision:
    """What to do about one endpoint of the specs."""
    choice = choose_goal(desired, given)
    goal = choice.goal
    problems = (choice.problem,) if choice.problem else ()
    if goal is None:
        return Decision(remove_idle(desired.address, given.observed, desired.drain_within_seconds), refused=problems)
    goal = with_restarts(goal, given)
    actions, notes = _steps(goal, given), tuple(notes_of_images(goal.endpoint, given))
    is_rollback = goal.live_number is not None
    if (request := given.restart_of(desired.address)) and not (is_rollback or goal.is_spec_of(desired)):
        notes = (f"{desired.address}: its spec waits for the restart that {request.by} asked for", *notes)
    if choice.is_held:
        notes += tuple(
            f"{held.about}: its spec stays aside until it changes, since it {held.what}" for held in problems
        )
        return Decision(actions, notes=notes, held=problems)
    is_up_to_date = not actions and not problems and goal.is_spec_of(desired)
    unchanged = (desired.address,) if is_up_to_date else ()
    return Decision(actions, unchanged, problems, notes)


def _steps(goal: Goal, given: Given) -> tuple[Action, ...]:
    endpoint, observed = goal.endpoint, given.observed
    route_now = observed.gateway.routes.get(endpoint.name)
    instances = wanted_instances(goal, given)

    starts = tuple(start_action(instance, given) for instance in instances if instance.start)
    awaits = await_actions(goal, instances, starts, given)
    ready = tuple(action.id for action in awaits) or given.gateway_ids

    wanted = wanted_route(endpoint, instances)
    kept, routed_now = {instance.container for instance in instances}, routed_names(route_now)
    leaving = tuple(c for c in observed.containers_of(endpoint.address) if c.name not in kept)
    if given.options.leaves_new:
        leaving = tuple(c for c in leaving if c.name in routed_now)
    draining = frozenset(c.name for c in leaving) & routed_now
    sets: tuple[Action, ...] = ()
    if starts or awaits or given.gateway or route_is_off(route_now, wanted, endpoint, observed):
        new = {"has_new_instances": bool(awaits), "has_new_gateway": bool(given.gateway)}
        cause = route_cause(goal.before, endpoint, route_now, **new)
        route = with_draining(wanted, tuple(c for c in leaving if c.name in draining))
        sets = (SetRoutes(about=endpoint.address, cause=cause, after=ready, route=route),)

    routed = tuple(action.id for action in sets) or ready
    records = _record(goal, routed, given)
    goes = removals(leaving, draining, routed, endpoint.drain_within_seconds, note="no longer needed")
    return (*starts, *awaits, *sets, *records, *goes)


def _record(goal: Goal, after: tuple[str, ...], given: Given) -> tuple[RecordRevision, ...]:
    if not goal.pending:
        return ()
    before, number = goal.before, goal.next_number
    taken_back = goal.live_number
    changes = route_changes(before, goal.endpoint) or setting_changes(before, goal.endpoint) if before else ()
    return (
        RecordRevision(
            about=goal.endpoint.address,
            cause=Cause(Reason.FOLLOWS, changes if not after else (), note=f"revision {number} is live"),
            after=after,
            number=number,
            status=RevisionStatus.LIVE,
            endpoint_hash=goal.endpoint.hash,
            record=goal.endpoint.record,
            started_at=given.now,
            instead_of=goal.instead_of,
            reason=goal.reason,
            rolled_back=taken_back,
            is_restart=goal.endpoint.address in given.observed.restarts,
        ),
    )
