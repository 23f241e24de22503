"""Which waiting jobs may start now, and what the others are waiting for. Pure.

`apply` asks in each pass which jobs to start, `status` what a job is waiting for, `reconcile` whether a job could ever
run. docs/queue.md explains the rules to users:

- Running jobs count first, including those that an earlier run of sagespec started.
- The others start in the order in which they arrived. A job may overtake those ahead of it only if that delays none of
  them: of everything it asks for, what they all ask for must stay free.
- A resource that a job does not state counts as none; the job still takes a place among the `parallel_jobs`.
- For endpoints, only GPUs count: their other limits are ceilings they rarely reach, but GPUs are theirs alone.
- Where the engine has several nodes, each host has to find room on one of them (rooms.py). A job that waits for that is
  overtaken only by those that ask for nothing that it lacks: nobody knows which node they would get.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sagespec.causes import Reason
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.rooms import RESOURCES, TOLERANCE, Amounts, Resource, Rooms, amounts_of, room_for
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredEndpoint, DesiredJob
from sagespec.state.observed import Capacity, Container, ContainerState, Observed


@dataclass(frozen=True)
class Request:
    """A job that is running or could run, with what all its containers ask for in total, and how many hosts they are
    of."""

    about: Address
    needs: Amounts
    hosts: int = 1

    @property
    def of_one(self) -> Amounts:
        return {resource: amount / self.hosts for resource, amount in self.needs.items()}


@dataclass(frozen=True)
class Turns:
    """start: jobs that may start now, in order. waiting: what each of the others is waiting for."""

    start: tuple[Address, ...]
    waiting: Mapping[Address, str]


def needs_of(job: DesiredJob) -> Amounts:
    """What all hosts of the job ask for in total."""
    of_one: Mapping[Resource, float | None] = {"cpus": job.cpus, "memory": job.memory, "gpus": job.gpus}
    return {resource: job.instances * amount for resource, amount in of_one.items() if amount}


def needs_of_endpoint(endpoint: DesiredEndpoint) -> Iterator[tuple[str, Amounts]]:
    """What has to be there at once, and for whom: CPUs and memory are limits of one instance, GPUs are all taken."""
    for variant in endpoint.variants:
        of_one: Mapping[Resource, float | None] = {"cpus": variant.cpus, "memory": variant.memory}
        yield variant.name, {resource: amount for resource, amount in of_one.items() if amount}
    if gpus := sum(variant.instances * variant.gpus for variant in endpoint.variants):
        yield " and ".join(variant.name for variant in endpoint.variants if variant.gpus), {"gpus": gpus}


def holders(containers: Iterable[Container]) -> tuple[Request, ...]:
    """What the containers of each job hold, and the GPUs that endpoints hold, sorted by address."""
    held: dict[Address, dict[Resource, float]] = {}
    for container in containers:
        if container.state is ContainerState.EXITED:
            continue
        amounts = held.setdefault(container.address.whole, {})
        of_one: dict[Resource, float | None] = {"gpus": len(container.gpus)}
        if container.address.kind == "job":
            of_one |= {"cpus": container.cpus, "memory": container.memory}
        for resource, amount in of_one.items():
            if amount:
                amounts[resource] = amounts.get(resource, 0) + amount
    return tuple(Request(address, amounts) for address, amounts in sorted(held.items()) if amounts)


def jobs_due(plan: Plan, desired: Desired, observed: Observed, *, order: Mapping[Address, int] | None = None) -> Turns:
    """Whose turn it is among the jobs that a plan would run. order: in which they came; else as the plan has them.

    What is followed, by whichever run, or has containers already, is running. Whoever was asked to stop needs no turn:
    to begin it ends it.
    """
    to_run = {action.about: action.job for action in plan.actions if isinstance(action, RunJob)}
    held = {request.about: request for request in holders(observed.containers)}
    live = {container.address.whole for container in observed.containers if container.address.kind == "job"}
    wanted = {job.address: job for job in desired.jobs}
    adopted = {action.about for action in plan.actions if action.cause.reason is Reason.ADOPTED}
    running = {*observed.followers, *adopted, *(live - to_run.keys())}
    waiting = [about for about in to_run if about not in running]
    waiting.sort(key=lambda about: (order or {}).get(about, 0))
    in_specs = {about for about in running if about in wanted}
    decided = turns(
        [_request(to_run[about]) for about in waiting],
        [_request(wanted[about]) for about in sorted(in_specs)],
        [request for about, request in held.items() if about not in in_specs and about not in waiting],
        capacity=observed.capacity,
        parallel_jobs=desired.parallel_jobs,
        rooms=_rooms(observed, waiting, [wanted[about] for about in sorted(in_specs)]),
    )
    return replace(decided, waiting={a: why for a, why in decided.waiting.items() if a not in observed.stops})


def _request(job: DesiredJob) -> Request:
    return Request(job.address, needs_of(job), job.instances)


def _rooms(observed: Observed, waiting: Sequence[Address], running: Sequence[DesiredJob]) -> Rooms | None:
    """What nodes have left beside what is there, and beside hosts of running jobs that are still to come. Those of them
    that have ended keep their room until all have."""
    rooms = Rooms.of(observed.capacity) if observed.capacity else None
    if rooms is None:
        return None
    kept, asked = {job.address for job in running}, set(waiting)
    there = [one for one in observed.containers if one.state is not ContainerState.EXITED or one.address.whole in kept]
    rooms = rooms.without(one for one in there if one.address.whole not in asked)
    for job in running:
        hosts = {one.address for one in there if one.address.whole == job.address and one.address.variant != "feeder"}
        rooms = rooms.with_hosts(_request(job).of_one, job.instances - len(hosts))
    return rooms


def turns(
    waiting: Sequence[Request],
    running: Sequence[Request],
    others: Sequence[Request],
    *,
    capacity: Capacity | None,
    parallel_jobs: int,
    rooms: Rooms | None = None,
) -> Turns:
    """Which waiting jobs may start.

    waiting: in order of arrival. running: jobs that have a place among the parallel_jobs. others: whatever else holds
    resources of the engine. capacity: None if unknown, so that it limits nothing. rooms: what the engine's nodes have
    left, if it has several.
    """
    start: list[Request] = []
    reasons: dict[Address, str] = {}
    kept: dict[Resource, float] = {}  # for the jobs ahead
    kept_rooms, lacked = rooms, set[Resource]()  # beside their hosts; what they wait for
    for request in waiting:
        holding = [*running, *start, *others]
        free = _free(capacity, holding)
        places = parallel_jobs - len(running) - len(start)
        # No place is kept for the job in front: whatever holds what it waits for will also free a place.
        places_kept = max(0, len(reasons) - 1)
        short = first_short(request.needs, free)
        lacks = rooms.short(request.of_one, request.hosts) if rooms else frozenset()
        passes = not (lacked & request.needs.keys()) and not (
            kept_rooms and kept_rooms.short(request.of_one, request.hosts)
        )
        if places <= 0:
            reasons[request.about] = f"waits for its turn: {parallel_jobs} of {parallel_jobs} jobs are running"
        elif short and capacity:
            reasons[request.about] = _shortage(request.needs, short, free, capacity, holding)
        elif rooms and lacks:
            reasons[request.about] = _lack(request, rooms)
        elif (
            places <= places_kept
            or not passes
            or first_short(request.needs, {r: free[r] - kept.get(r, 0) for r in free})
        ):
            reasons[request.about] = f"waits for its turn: {next(iter(reasons))} is ahead of it"
        else:
            start.append(request)
            rooms = rooms and rooms.with_hosts(request.of_one, request.hosts)
            kept_rooms = kept_rooms and kept_rooms.with_hosts(request.of_one, request.hosts)
            continue
        if rooms and kept_rooms:
            lacked |= lacks
            kept_rooms = kept_rooms.with_hosts(request.of_one, request.hosts)
        for resource, amount in request.needs.items():
            kept[resource] = kept.get(resource, 0) + amount
    return Turns(tuple(request.about for request in start), reasons)


def beyond(job: DesiredJob, capacity: Capacity) -> tuple[Resource, str] | None:
    """The resource the job needs more of than the engine has, and a sentence about it; None if the job could run."""
    needs, has = needs_of(job), amounts_of(capacity)
    resource = first_short(needs, has)
    if resource is None:
        return beyond_nodes({name: amount / job.instances for name, amount in needs.items()}, job.instances, capacity)
    asked = shown(resource, needs[resource])
    if job.instances > 1:
        asked = f"{job.instances} × {shown(resource, needs[resource] / job.instances)}, {asked} in total,"
    return resource, f"asks for {asked} but the engine has {shown(resource, has[resource])}"


def beyond_nodes(of_one: Amounts, instances: int, capacity: Capacity) -> tuple[Resource, str] | None:
    """The same where there is enough in all, but each host has to find room on one node."""
    nodes = [amounts_of(node) for node in capacity.machines]
    for resource in RESOURCES:
        most = max((node[resource] for node in nodes), default=0)
        if of_one.get(resource, 0) > most + TOLERANCE:
            return (
                resource,
                f"asks for {shown(resource, of_one[resource])} but the largest node has {shown(resource, most)}",
            )
    rooms = sum(room_for(of_one, node) for node in nodes) if of_one else instances
    if rooms >= instances:
        return None
    resource = next(resource for resource in RESOURCES if of_one.get(resource))
    return resource, f"asks for {instances} × {_listed(of_one)}, and the nodes have room for {rooms} of that"


def _listed(of_one: Amounts) -> str:
    """As '4 CPUs and 1 GPU'."""
    return " and ".join(shown(resource, of_one[resource]) for resource in RESOURCES if of_one.get(resource))


def _lack(request: Request, rooms: Rooms) -> str:
    """As 'waits for 2 × 3 CPUs: the nodes have room for 1 of that'."""
    found = rooms.rooms(request.of_one)
    return f"waits for {request.hosts} × {_listed(request.of_one)}: the nodes have room for {found} of that"


def shown(resource: Resource, amount: float) -> str:
    """
    >>> shown("cpus", 1), shown("memory", 3 * 2**29), shown("gpus", 2)
    ('1 CPU', '1.5 GiB of memory', '2 GPUs')
    """
    if resource == "memory":
        return f"{amount / 2**30:.3g} GiB of memory" if amount >= 2**30 else f"{amount / 2**20:.3g} MiB of memory"
    return f"{amount:g} {resource[:-1].upper()}{'' if amount == 1 else 's'}"


def _free(capacity: Capacity | None, holding: Iterable[Request]) -> dict[Resource, float]:
    """What the engine has left; empty if its capacity is unknown."""
    free = amounts_of(capacity) if capacity else {}
    for request in holding:
        for resource, amount in request.needs.items():
            if resource in free:
                free[resource] -= amount
    return free


def first_short(needs: Amounts, free: Amounts) -> Resource | None:
    """The first resource that is short."""
    return next((r for r in RESOURCES if r in free and needs.get(r, 0) > max(0, free[r]) + TOLERANCE), None)


def _shortage(needs: Amounts, short: Resource, free: Amounts, capacity: Capacity, holding: Sequence[Request]) -> str:
    """As 'waits for 2 CPUs: 1 of 4 is free; job/a@1 has 3'."""
    unit = 2**30 if short == "memory" else 1
    left, total = max(0, free[short]) / unit, amounts_of(capacity)[short] / unit
    who = [f"{r.about} has {r.needs[short] / unit:.3g}" for r in holding if r.needs.get(short)]
    listed = ", ".join([*who[:3], *([f"{len(who) - 3} others the rest"] if len(who) > 3 else [])])
    are = "is" if left == 1 else "are"
    return f"waits for {shown(short, needs[short])}: {left:.3g} of {total:.3g} {are} free; {listed}".rstrip("; ")
