"""The steps to a goal, one fixed sequence: start, await healthy, route, record, drain, remove.

Called by `endpoints`, and by `rollouts` for what is left once all steps of a rollout have passed. Steps whose effect
exists already are left out, which is also how an interrupted run is resumed.
"""

from __future__ import annotations

from sagespec.causes import Cause, Reason
from sagespec.plan import Action, RecordRevision, SetRoutes
from sagespec.reconcile.causes import route_cause, route_changes, setting_changes
from sagespec.reconcile.given import Given
from sagespec.reconcile.goals import Goal
from sagespec.reconcile.instances import await_actions, start_action, wanted_instances
from sagespec.reconcile.leaving import removals
from sagespec.reconcile.routes import route_is_off, routed_names, wanted_route, with_draining
from sagespec.state.revision import RevisionStatus
from sagespec.state.rollout import RolloutEnd


def steps_at_once(goal: Goal, given: Given, rollout: RolloutEnd | None = None) -> tuple[Action, ...]:
    """What leads to the goal. rollout: what led to it step by step until now."""
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
    records = _record(goal, routed, given, rollout)
    goes = removals(leaving, draining, routed, endpoint.drain_within_seconds, note="no longer needed")
    return (*starts, *awaits, *sets, *records, *goes)


def _record(goal: Goal, after: tuple[str, ...], given: Given, rollout: RolloutEnd | None) -> tuple[RecordRevision, ...]:
    if not goal.pending:
        return ()
    before, number = goal.before, goal.next_number
    taken_back = goal.live_number
    is_unrecorded = before is None and not after  # all that leads to it is there already
    note = f"revision {number} serves and is not recorded" if is_unrecorded else f"revision {number} is live"
    note += f" ({rollout.why})" if rollout and rollout.why else ""
    changes = route_changes(before, goal.endpoint) or setting_changes(before, goal.endpoint) if before else ()
    return (
        RecordRevision(
            about=goal.endpoint.address,
            cause=Cause(Reason.DRIFT if is_unrecorded else Reason.FOLLOWS, changes if not after else (), note=note),
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
            rollout=rollout,
        ),
    )
