"""Endpoints: which instances start, take traffic, drain and go.

The goal of an endpoint is what its spec asks, unless that has failed before or cannot be had yet;
then the goal is the revision that is live. From goal and snapshot follows one fixed sequence:
start, await healthy, route, record, drain, remove. Steps whose effect is there already fall away,
which is also how a run that was killed is continued.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sagespec.errors import Problem
from sagespec.manifest import JobStatus, Revision, RevisionStatus
from sagespec.plan import (
    Action,
    AwaitHealthy,
    Cause,
    Change,
    DrainInstance,
    Reason,
    RecordRevision,
    RemoveInstance,
    RunJob,
    SetRoutes,
    StartGateway,
    StartInstance,
)
from sagespec.reconcile.jobs import changed_fields
from sagespec.reconcile.options import Options, Part
from sagespec.state import (
    Address,
    Container,
    ContainerState,
    DesiredEndpoint,
    DesiredVariant,
    Observed,
    Route,
    Target,
    container_name,
    endpoint_from_asked,
    same_hash,
)

# A running instance that does not answer /ping is given this long since its start before it is replaced.
UNHEALTHY_GRACE = timedelta(seconds=30)


@dataclass(frozen=True)
class _Goal:
    """What the endpoint shall be now: the spec (`pending` when it is not live yet) or the live revision."""

    endpoint: DesiredEndpoint | None
    pending: bool
    problem: Problem | None = None


@dataclass(frozen=True)
class _Instance:
    """One wanted instance. start: why it must be started; proven: it has traffic already."""

    address: Address
    container: str
    hash: str
    variant: DesiredVariant
    start: Cause | None
    proven: bool


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
    goal = _choose_goal(desired, revisions, live, observed, jobs, options)
    problems = (goal.problem,) if goal.problem else ()
    if goal.endpoint is None:
        return Part(actions=_remove_idle(desired.address, observed, desired.drain_within), refused=problems)
    before = endpoint_from_asked(desired.name, live.asked) if live else None
    number = revisions[-1].number + 1 if revisions else 1
    actions = _steps(project_name, goal, before, observed, jobs, gateway, number, now)
    unchanged = () if actions or problems else (desired.address,)
    return Part(actions=actions, unchanged=unchanged, refused=problems)


def live_revision(revisions: tuple[Revision, ...]) -> Revision | None:
    """The newest revision that went live, unless the endpoint was removed after it."""
    for revision in reversed(revisions):
        if revision.status is RevisionStatus.REMOVED:
            return None
        if revision.status is RevisionStatus.LIVE:
            return revision
    return None


# -- the goal --------------------------------------------------------------------------------------


def _choose_goal(
    desired: DesiredEndpoint,
    revisions: tuple[Revision, ...],
    live: Revision | None,
    observed: Observed,
    jobs: Mapping[Address, Part],
    options: Options,
) -> _Goal:
    if live and same_hash(desired.hash, live.hash):
        return _Goal(endpoint_from_asked(desired.name, live.asked, desired.origin), pending=False)
    problem = _turned_down(desired, revisions, live, options) or _missing_model(desired, observed, jobs)
    if problem is None:
        return _Goal(desired, pending=True)
    return _Goal(endpoint_from_asked(desired.name, live.asked) if live else None, pending=False, problem=problem)


def _turned_down(
    desired: DesiredEndpoint, revisions: tuple[Revision, ...], live: Revision | None, options: Options
) -> Problem | None:
    """Why this very spec is not tried: it has failed since the live one went live, or was rolled back to it."""
    if options.retry:
        return None
    given_up = next((r for r in reversed(revisions) if r is live or same_hash(desired.hash, r.hash)), None)
    if given_up is None:
        return None
    if given_up is live:
        if not (live.instead_of and same_hash(desired.hash, live.instead_of)):
            return None
        what = f"was rolled back to revision {live.number}" + (f": {live.reason}" if live.reason else "")
    elif given_up.status is RevisionStatus.FAILED:
        what = f"revision {given_up.number} failed: {given_up.reason}"
    else:
        return None
    return Problem(
        what=what,
        about=str(desired.address),
        why=(f"revision {live.number} keeps serving; " if live else "")
        + "what was given up is not tried again by itself",
        fix="change the spec, or run `sagespec apply --retry`",
        where=desired.origin,
    )


def _missing_model(desired: DesiredEndpoint, observed: Observed, jobs: Mapping[Address, Part]) -> Problem | None:
    """Why a model of this endpoint cannot be had by this plan; None when all are there or will be made."""
    for variant in desired.variants:
        job = variant.model.job
        if job is None or _is_trained(job, observed):
            continue
        part = jobs.get(job)
        if part is None or not any(isinstance(action, RunJob) for action in part.actions):
            return Problem(
                what=f"variant {variant.name} needs {job}, which is not trained",
                about=str(desired.address),
                why="an endpoint waits for the jobs it names, and stays on what it serves when one fails",
                fix=f"mend {job}, then apply again",
                where=desired.origin,
            )
    return None


def _is_trained(job: Address, observed: Observed) -> bool:
    manifest = observed.manifests.get(job)
    return manifest is not None and manifest.status is JobStatus.COMPLETED


# -- the steps -------------------------------------------------------------------------------------


def _steps(
    project_name: str,
    goal: _Goal,
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
    instances = _instances(project_name, endpoint, before, route_now, observed, now)
    gateway_ids = tuple(action.id for action in gateway)

    starts = tuple(_start(instance, gateway_ids, jobs, observed) for instance in instances if instance.start)
    awaits = _awaits(goal, instances, starts, gateway_ids, number)
    ready = tuple(action.id for action in awaits) or gateway_ids

    wanted = _route(endpoint, instances)
    kept = {instance.container for instance in instances}
    leaving = tuple(c for c in observed.containers_of(endpoint.address) if c.name not in kept)
    draining = frozenset(c.name for c in leaving) & _names(route_now)
    sets: tuple[Action, ...] = ()
    if starts or awaits or gateway or _route_is_off(route_now, wanted, endpoint, observed):
        cause = _route_cause(before, endpoint, route_now, bool(starts))
        route = _with_draining(wanted, tuple(c for c in leaving if c.name in draining))
        sets = (SetRoutes(about=endpoint.address, cause=cause, after=ready, route=route),)

    routed = tuple(action.id for action in sets) or ready
    records = _record(goal, before, routed, number, now)
    goes = _goes(leaving, draining, routed, endpoint.drain_within, note="no longer asked for")
    return (*starts, *awaits, *sets, *records, *goes)


def _instances(
    project_name: str,
    endpoint: DesiredEndpoint,
    before: DesiredEndpoint | None,
    route: Route | None,
    observed: Observed,
    now: datetime,
) -> tuple[_Instance, ...]:
    containers = {container.name: container for container in observed.containers_of(endpoint.address)}
    result = []
    for variant in endpoint.variants:
        hash_text = _live_hash(variant, containers.values())
        target = route.target(variant.name, hash_text) if route else None
        for index in range(variant.instances):
            address = Address("endpoint", endpoint.name, variant=variant.name, instance=index)
            name = container_name(project_name, address, hash_text)
            container = containers.get(name)
            in_route = target is not None and name in target.instances
            start = _why_start(variant, before, container, in_route, observed, now)
            result.append(_Instance(address, name, hash_text, variant, start, proven=in_route and start is None))
    return tuple(result)


def _live_hash(variant: DesiredVariant, containers: Iterable[Container]) -> str:
    """The variant's hash as its containers carry it: where none has it, one of another format stands for it."""
    hashes = sorted(container.hash for container in containers if container.address.variant == variant.name)
    if variant.hash in hashes:
        return variant.hash
    return next((hash_text for hash_text in hashes if same_hash(variant.hash, hash_text)), variant.hash)


def _why_start(
    variant: DesiredVariant,
    before: DesiredEndpoint | None,
    container: Container | None,
    in_route: bool,
    observed: Observed,
    now: datetime,
) -> Cause | None:
    """Why this instance must be started, or None when it stands."""
    if container is None:
        return _why_new(variant, before, in_route)
    if container.state is ContainerState.CREATED:
        return Cause(Reason.ADOPTED, note="an earlier run was cut short before it started")
    if container.state is ContainerState.EXITED:
        return Cause(Reason.DRIFT, note=f"it has exited with code {container.exit_code}")
    probe = observed.gateway.probes.get(container.name)
    silent = in_route and probe is not None and not probe.healthy
    if silent and container.started_at and now - container.started_at > UNHEALTHY_GRACE:
        return Cause(Reason.DRIFT, note="it does not answer /ping")
    return None


def _why_new(variant: DesiredVariant, before: DesiredEndpoint | None, in_route: bool) -> Cause:
    old = before.variant(variant.name) if before else None
    if old is None:
        return Cause(Reason.NEW, note=f"new variant serving {variant.model.text}" if before else "")
    if not same_hash(variant.hash, old.hash):
        return Cause(Reason.CHANGED, replace_changes(old, variant))
    if variant.instances != old.instances and not in_route:
        return Cause(Reason.CHANGED, (Change("instances", str(old.instances), str(variant.instances)),))
    return Cause(Reason.DRIFT, note="its container is gone")


def replace_changes(old: DesiredVariant, new: DesiredVariant) -> tuple[Change, ...]:
    """The changed fields that ask for new containers, as a person would name them."""
    changes = []
    for change in changed_fields(old.replace_fields, new.replace_fields):
        if change.field == "model" and old.model.text != new.model.text:
            changes.append(Change("model", old.model.text, new.model.text))
        else:
            changes.append(change)
    return tuple(changes)


def _start(
    instance: _Instance, gateway_ids: tuple[str, ...], jobs: Mapping[Address, Part], observed: Observed
) -> StartInstance:
    assert instance.start is not None
    job = instance.variant.model.job
    after = gateway_ids
    if job and job in jobs and not _is_trained(job, observed):  # a revision may name a job whose spec is gone
        after += tuple(action.id for action in jobs[job].actions if isinstance(action, RunJob))
    return StartInstance(
        about=instance.address,
        cause=instance.start,
        after=after,
        container=instance.container,
        variant=replace(instance.variant, hash=instance.hash),  # another format's, where its siblings carry that
    )


def _awaits(
    goal: _Goal,
    instances: tuple[_Instance, ...],
    starts: tuple[StartInstance, ...],
    gateway_ids: tuple[str, ...],
    number: int,
) -> tuple[AwaitHealthy, ...]:
    """One wait for each variant that has instances without traffic."""
    assert goal.endpoint is not None
    started = {action.container: action.id for action in starts}
    result = []
    for variant in goal.endpoint.variants:
        new = [i for i in instances if i.variant.name == variant.name and not i.proven]
        if not new:
            continue
        result.append(
            AwaitHealthy(
                about=Address("endpoint", goal.endpoint.name, variant=variant.name),
                cause=Cause(Reason.FOLLOWS, note=f"{len(new)} of {variant.instances}, before they get traffic"),
                after=(*gateway_ids, *(started[i.container] for i in new if i.container in started)),
                variant=variant.name,
                hash=new[0].hash,
                containers=tuple(i.container for i in new),
                within=goal.endpoint.healthy_within,
                min_healthy=goal.endpoint.min_healthy,
                endpoint=goal.endpoint,
                revision=number if goal.pending else None,
            )
        )
    return tuple(result)


# -- routes ----------------------------------------------------------------------------------------


def _route(endpoint: DesiredEndpoint, instances: tuple[_Instance, ...]) -> Route:
    targets = []
    for variant in endpoint.variants:
        mine = [i for i in instances if i.variant.name == variant.name]
        names = tuple(sorted(i.container for i in mine))
        targets.append(Target(variant.name, mine[0].hash, variant.weight, instances=names))
    return Route(endpoint.name, tuple(sorted(targets)))


def _with_draining(route: Route, draining: tuple[Container, ...]) -> Route:
    """The route with the leaving containers as draining members of their (possibly old) targets."""
    targets = {(target.variant, target.hash): target for target in route.targets}
    for container in draining:
        where = (container.address.variant, container.hash)
        target = targets.get(where, Target(*where, weight=0.0))
        targets[where] = replace(target, draining=(*target.draining, container.name))
    return Route(route.endpoint, tuple(sorted(targets.values())))


def _serving(route: Route) -> tuple[Target, ...]:
    """The part of a route that takes requests: what two routes are compared by."""
    return tuple(replace(target, draining=()) for target in route.targets if target.instances)


def _names(route: Route | None) -> frozenset[str]:
    """All containers a route mentions."""
    return (
        frozenset(name for target in route.targets for name in (*target.instances, *target.draining))
        if route
        else frozenset()
    )


def _route_is_off(route: Route | None, wanted: Route, endpoint: DesiredEndpoint, observed: Observed) -> bool:
    """Whether the gateway's route differs from the wanted one, names containers that are gone, or has an
    instance that it does not probe, or at an address it no longer has."""
    if route is None or _serving(route) != _serving(wanted):
        return True
    containers = {container.name: container for container in observed.containers_of(endpoint.address)}
    if _names(route) - containers.keys():
        return True
    for name in _names(wanted):
        probe, container = observed.gateway.probes.get(name), containers.get(name)
        if container is None or not container.host:
            continue
        if probe is None or (probe.host, probe.port) != (container.host, container.port):
            return True
    return False


def _route_cause(before: DesiredEndpoint | None, goal: DesiredEndpoint, route: Route | None, has_starts: bool) -> Cause:
    changes = _route_changes(before, goal) if before else ()
    if changes:
        return Cause(Reason.CHANGED, changes)
    if before is None:
        return Cause(Reason.NEW, note="first traffic")
    if route is None:
        return Cause(Reason.DRIFT, note="the gateway has no route for it")
    return (
        Cause(Reason.FOLLOWS, note="new instances") if has_starts else Cause(Reason.DRIFT, note="the route was changed")
    )


def _route_changes(before: DesiredEndpoint, goal: DesiredEndpoint) -> tuple[Change, ...]:
    """What changes for callers, variant by variant in the order of the spec, dropped ones last."""
    changes = []
    for variant in goal.variants:
        old = before.variant(variant.name)
        if old is None:
            changes.append(Change(f"variant {variant.name}", "none", f"weight {variant.weight:g}"))
            continue
        if old.model.text != variant.model.text:
            changes.append(Change(f"model of {variant.name}", old.model.text, variant.model.text))
        elif not same_hash(variant.hash, old.hash):
            fields = (c for c in replace_changes(old, variant) if c.field != "split")  # the weights say it
            changes += (Change(f"{c.field} of {variant.name}", c.old, c.new) for c in fields)
        if old.weight != variant.weight:
            changes.append(Change(f"weight of {variant.name}", f"{old.weight:g}", f"{variant.weight:g}"))
        if old.instances != variant.instances:
            changes.append(Change(f"instances of {variant.name}", str(old.instances), str(variant.instances)))
    gone = [variant for variant in before.variants if goal.variant(variant.name) is None]
    return (*changes, *(Change(f"variant {v.name}", f"weight {v.weight:g}", "none") for v in gone))


# -- the end of a rollout --------------------------------------------------------------------------


def _record(
    goal: _Goal, before: DesiredEndpoint | None, after: tuple[str, ...], number: int, now: datetime
) -> tuple[RecordRevision, ...]:
    if not goal.pending or goal.endpoint is None:
        return ()
    changes = _route_changes(before, goal.endpoint) or _setting_changes(before, goal.endpoint) if before else ()
    return (
        RecordRevision(
            about=goal.endpoint.address,
            cause=Cause(Reason.FOLLOWS, changes if not after else (), note=f"revision {number} is live"),
            after=after,
            number=number,
            status=RevisionStatus.LIVE,
            endpoint_hash=goal.endpoint.hash,
            asked=dict(goal.endpoint.asked),
            started_at=now,
        ),
    )


def _setting_changes(before: DesiredEndpoint, goal: DesiredEndpoint) -> tuple[Change, ...]:
    """Changed fields that touch nothing live: the rollout's settings and protection."""
    old = {**before.asked["rollout"], "protect": before.protect}
    new = {**goal.asked["rollout"], "protect": goal.protect}
    return changed_fields(old, new)


def _goes(
    leaving: tuple[Container, ...], draining: frozenset[str], after: tuple[str, ...], within: float, note: str
) -> tuple[Action, ...]:
    """Drain those that have had traffic, then remove all."""
    actions: list[Action] = []
    for container in leaving:
        cause = Cause(Reason.FOLLOWS, note=note)
        removal_after = after
        if container.name in draining and container.state is ContainerState.RUNNING:
            drain = DrainInstance(
                about=container.address, cause=cause, after=after, container=container.name, within=within
            )
            actions.append(drain)
            removal_after = (drain.id,)
        actions.append(
            RemoveInstance(about=container.address, cause=cause, after=removal_after, container=container.name)
        )
    return tuple(actions)


def _remove_idle(address: Address, observed: Observed, within: float) -> tuple[Action, ...]:
    """Remove what an attempt left that never got traffic. What serves stays, also where no revision tells of it:
    the run that gave it traffic was killed before it could record that."""
    route = observed.gateway.routes.get(address.name)
    serving = frozenset(name for target in _serving(route) for name in target.instances) if route else frozenset()
    leaving = tuple(c for c in observed.containers_of(address) if c.name not in serving)
    draining = frozenset(c.name for c in leaving) & _names(route)
    return _goes(leaving, draining, (), within, note="it never became healthy")


def remove_all(address: Address, observed: Observed, note: str, *, within: float) -> tuple[Action, ...]:
    """Take an endpoint off the gateway and remove its containers, draining those that have traffic."""
    route = observed.gateway.routes.get(address.name)
    leaving = observed.containers_of(address)
    draining = frozenset(c.name for c in leaving) & _names(route)
    cause = Cause(Reason.REMOVED, note=note)
    sets: tuple[Action, ...] = ()
    if route and (_serving(route) or _names(route) - {c.name for c in leaving}):
        drained = _with_draining(Route(address.name, ()), tuple(c for c in leaving if c.name in draining))
        sets = (SetRoutes(about=address, cause=cause, route=drained if drained.targets else None),)
    return (*sets, *_goes(leaving, draining, tuple(action.id for action in sets), within, note))
