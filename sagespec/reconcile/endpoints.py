"""Endpoints: which instances start, take traffic, drain and go.

The goal of an endpoint is what its spec asks, unless that has failed before or cannot be had yet;
then the goal is the revision that is live. From goal and snapshot follows one fixed sequence:
start, await healthy, route, record, drain, remove. Steps whose effect is there already fall away,
which is also how a run that was killed is continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sagespec.plan import (
    Action,
    Cause,
    Reason,
    RecordRevision,
    SetRoutes,
    StartGateway,
)
from sagespec.reconcile.causes import route_cause, route_changes, setting_changes
from sagespec.reconcile.goals import Goal, choose_goal
from sagespec.reconcile.instances import await_actions, start_action, wanted_instances
from sagespec.reconcile.leaving import removals, remove_idle
from sagespec.reconcile.options import Options, Part
from sagespec.reconcile.routes import route_is_off, routed_names, wanted_route, with_draining
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, desired_endpoint
from sagespec.state.observed import Observed
from sagespec.state.revision import RevisionStatus, live_revision


def reconcile_endpoint(
    project_name: str,
    desired: DesiredEndpoint,
    observed: Observed,
    jobs: Mapping[Address, Part],
    gateway: tuple[StartGateway, ...],
    now: datetime,
    options: Options,
) -> Part:
    """What to do about one endpoint of the specs."""
    revisions = observed.revisions.get(desired.name, ())
    live = live_revision(revisions)
    goal = choose_goal(desired, revisions, live, observed, jobs, options)
    problems = (goal.problem,) if goal.problem else ()
    if goal.endpoint is None:
        return Part(actions=remove_idle(desired.address, observed, desired.drain_within), refused=problems)
    before = desired_endpoint(desired.name, live.asked) if live else None
    number = revisions[-1].number + 1 if revisions else 1
    actions = _steps(project_name, goal, before, observed, jobs, gateway, number, now)
    unchanged = () if actions or problems else (desired.address,)
    return Part(actions=actions, unchanged=unchanged, refused=problems)


def _steps(
    project_name: str,
    goal: Goal,
    before: DesiredEndpoint | None,
    observed: Observed,
    jobs: Mapping[Address, Part],
    gateway: tuple[StartGateway, ...],
    number: int,
    now: datetime,
) -> tuple[Action, ...]:
    endpoint = goal.endpoint
    assert endpoint is not None
    route_now = observed.gateway.routes.get(endpoint.name)
    instances = wanted_instances(project_name, endpoint, before, route_now, observed, now)
    gateway_ids = tuple(action.id for action in gateway)

    starts = tuple(start_action(instance, gateway_ids, jobs, observed) for instance in instances if instance.start)
    awaits = await_actions(goal, instances, starts, gateway_ids, number)
    ready = tuple(action.id for action in awaits) or gateway_ids

    wanted = wanted_route(endpoint, instances)
    kept = {instance.container for instance in instances}
    leaving = tuple(c for c in observed.containers_of(endpoint.address) if c.name not in kept)
    draining = frozenset(c.name for c in leaving) & routed_names(route_now)
    sets: tuple[Action, ...] = ()
    if starts or awaits or gateway or route_is_off(route_now, wanted, endpoint, observed):
        cause = route_cause(before, endpoint, route_now, bool(starts))
        route = with_draining(wanted, tuple(c for c in leaving if c.name in draining))
        sets = (SetRoutes(about=endpoint.address, cause=cause, after=ready, route=route),)

    routed = tuple(action.id for action in sets) or ready
    records = _record(goal, before, routed, number, now)
    goes = removals(leaving, draining, routed, endpoint.drain_within, note="no longer asked for")
    return (*starts, *awaits, *sets, *records, *goes)


def _record(
    goal: Goal, before: DesiredEndpoint | None, after: tuple[str, ...], number: int, now: datetime
) -> tuple[RecordRevision, ...]:
    if not goal.pending or goal.endpoint is None:
        return ()
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
            started_at=now,
        ),
    )
