"""Which of the jobs that could run may start now, and what the others wait for. Pure.

`apply` asks before it starts a job, `status` to say what one waits for, `reconcile` whether a job could ever run.
docs/queue.md explains the rules to users:

- A job that runs counts first, also one that an earlier run of sagespec began.
- The others start in the order in which they came. One may pass those before it only if that delays none of them:
  whatever it asks for, as much as all of those ask for must stay free.
- What a job does not state counts as nothing but its place among the `parallel_jobs`.
- Of endpoints only the GPUs count: their other limits are ceilings for seldom moments, GPUs are theirs alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.observed import Capacity, Container, ContainerState

Resource = Literal["cpus", "memory", "gpus"]
Amounts = Mapping[Resource, float]  # memory in bytes; what is not stated is left out

RESOURCES: tuple[Resource, ...] = ("cpus", "memory", "gpus")
_TOLERANCE = 1e-6  # of sums like 0.1 + 0.2


@dataclass(frozen=True)
class Request:
    """A job that could run, or that runs, with what all its containers ask for together."""

    about: Address
    needs: Amounts


@dataclass(frozen=True)
class Turns:
    """start: jobs whose turn it is, in order. waiting: what each of the others waits for."""

    start: tuple[Address, ...]
    waiting: Mapping[Address, str]


def needs_of(job: DesiredJob) -> Amounts:
    """What all hosts of the job ask for together."""
    of_one: Mapping[Resource, float | None] = {"cpus": job.cpus, "memory": job.memory, "gpus": job.gpus}
    return {resource: job.instances * amount for resource, amount in of_one.items() if amount}


def holders(containers: Iterable[Container]) -> tuple[Request, ...]:
    """What the containers of jobs hold, job by job, and the GPUs that endpoints hold, sorted by address."""
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


def turns(
    waiting: Sequence[Request],
    running: Sequence[Request],
    others: Sequence[Request],
    *,
    capacity: Capacity | None,
    parallel_jobs: int,
) -> Turns:
    """Whose turn it is.

    waiting: in the order in which they came. running: the jobs that have a place among the parallel_jobs. others:
    what else holds something of the engine. capacity: None where it is not known, and so limits nothing.
    """
    start: list[Request] = []
    reasons: dict[Address, str] = {}
    kept: dict[Resource, float] = {}  # for those who came before
    for request in waiting:
        holding = [*running, *start, *others]
        free = _free(capacity, holding)
        places = parallel_jobs - len(running) - len(start)
        # The one in front needs no place kept: what it waits for is held by somebody who gives one back, too.
        places_kept = max(0, len(reasons) - 1)
        short = _short(request.needs, free)
        if places <= 0:
            reasons[request.about] = f"waits for its turn: {parallel_jobs} of {parallel_jobs} jobs run"
        elif short and capacity:
            reasons[request.about] = _shortage(request.needs, short, free, capacity, holding)
        elif places <= places_kept or _short(request.needs, {r: free[r] - kept.get(r, 0) for r in free}):
            reasons[request.about] = f"waits for its turn: {next(iter(reasons))} came before it"
        else:
            start.append(request)
            continue
        for resource, amount in request.needs.items():
            kept[resource] = kept.get(resource, 0) + amount
    return Turns(tuple(request.about for request in start), reasons)


def beyond(job: DesiredJob, capacity: Capacity) -> tuple[Resource, str] | None:
    """What the job asks for beyond all that the engine has, and that as a sentence; None when it could run there."""
    needs, has = needs_of(job), _amounts(capacity)
    resource = _short(needs, has)
    if resource is None:
        return None
    asked = shown(resource, needs[resource])
    if job.instances > 1:
        asked = f"{job.instances} × {shown(resource, needs[resource] / job.instances)}, together {asked},"
    return resource, f"asks for {asked} and the engine has {shown(resource, has[resource])}"


def shown(resource: Resource, amount: float) -> str:
    """
    >>> shown("cpus", 1), shown("memory", 3 * 2**29), shown("gpus", 2)
    ('1 CPU', '1.5 GiB of memory', '2 GPUs')
    """
    if resource == "memory":
        return f"{amount / 2**30:.3g} GiB of memory" if amount >= 2**30 else f"{amount / 2**20:.3g} MiB of memory"
    return f"{amount:g} {resource[:-1].upper()}{'' if amount == 1 else 's'}"


def _amounts(capacity: Capacity) -> dict[Resource, float]:
    return {"cpus": capacity.cpus, "memory": capacity.memory, "gpus": len(capacity.gpus)}


def _free(capacity: Capacity | None, holding: Iterable[Request]) -> dict[Resource, float]:
    """What is left of the engine; empty for one that is not known."""
    free = _amounts(capacity) if capacity else {}
    for request in holding:
        for resource, amount in request.needs.items():
            if resource in free:
                free[resource] -= amount
    return free


def _short(needs: Amounts, free: Amounts) -> Resource | None:
    """The first resource of which there is less than is needed."""
    return next((r for r in RESOURCES if r in free and needs.get(r, 0) > max(0, free[r]) + _TOLERANCE), None)


def _shortage(needs: Amounts, short: Resource, free: Amounts, capacity: Capacity, holding: Sequence[Request]) -> str:
    """As 'waits for 2 CPUs: 1 of 4 is free; job/a@1 has 3'."""
    unit = 2**30 if short == "memory" else 1
    left, total = max(0, free[short]) / unit, _amounts(capacity)[short] / unit
    who = [f"{r.about} has {r.needs[short] / unit:.3g}" for r in holding if r.needs.get(short)]
    listed = ", ".join([*who[:3], *([f"{len(who) - 3} others the rest"] if len(who) > 3 else [])])
    are = "is" if left == 1 else "are"
    return f"waits for {shown(short, needs[short])}: {left:.3g} of {total:.3g} {are} free; {listed}".rstrip("; ")
