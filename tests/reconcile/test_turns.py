"""Whose turn it is: what may never happen, over random jobs, and what people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagespec.reconcile.reconcile import reconcile
from sagespec.reconcile.rooms import RESOURCES, Amounts, Rooms
from sagespec.reconcile.turns import Request, Turns, beyond, holders, jobs_due, needs_of, turns
from sagespec.state.addresses import Address, job_address
from sagespec.state.observed import Capacity, Container, ContainerState, NodeCapacity, Observed
from tests.fakes.clock import START
from tests.fakes.specs import desired_from

GIB = 2**30
ENGINE = Capacity(cpus=4, memory=8 * GIB, gpus=("GPU-a", "GPU-b"))


def job(number: int) -> Address:
    return job_address("job", number)


def asked(number: int, **needs: float) -> Request:
    return Request(job(number), needs)  # type: ignore[arg-type]


def decide(
    waiting: Sequence[Request], running: Sequence[Request] = (), others: Sequence[Request] = (), parallel_jobs: int = 9
) -> Turns:
    return turns(waiting, running, others, capacity=ENGINE, parallel_jobs=parallel_jobs)


# -- what may never happen -------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    came: int
    lasts: int
    needs: Amounts


amounts = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.sampled_from([0.1, 0.5, 1, 2, 3, 4]),
        "memory": st.sampled_from([GIB, 3 * GIB, 8 * GIB]),
        "gpus": st.sampled_from([1, 2]),
    },
)
jobs_to_come = st.lists(st.builds(Job, came=st.integers(0, 9), lasts=st.integers(1, 6), needs=amounts), max_size=9)


def starts(jobs: Sequence[Job], parallel_jobs: int, *, in_line: bool) -> dict[int, int]:
    """When each of the jobs starts, minute by minute. in_line: nobody passes anybody."""
    begun: dict[int, int] = {}
    for now in range(200):
        running = [n for n, at in begun.items() if at + jobs[n].lasts > now]
        came = sorted((j.came, n) for n, j in enumerate(jobs) if j.came <= now and n not in begun)
        waiting = [Request(job(n + 1), jobs[n].needs) for _, n in came]
        while waiting:
            asking = waiting[:1] if in_line else waiting
            held = [Request(job(n + 1), jobs[n].needs) for n in running]
            decided = decide(asking, held, parallel_jobs=parallel_jobs)
            for address in decided.start:
                begun[address.version - 1] = now
                running.append(address.version - 1)
            assert set(decided.start) | set(decided.waiting) == {request.about for request in asking}
            if not (in_line and decided.start):
                break
            waiting = waiting[1:]
        assert len(running) <= parallel_jobs
        for resource in RESOURCES:
            total = {"cpus": ENGINE.cpus, "memory": ENGINE.memory, "gpus": len(ENGINE.gpus)}[resource]
            assert sum(jobs[n].needs.get(resource, 0) for n in running) <= total + 1e-6
    return begun


@given(jobs_to_come, st.integers(1, 4))
def test_no_engine_is_overfull_and_nobody_starts_later_because_another_passed(
    jobs: list[Job], parallel_jobs: int
) -> None:
    begun, in_line = starts(jobs, parallel_jobs, in_line=False), starts(jobs, parallel_jobs, in_line=True)
    assert begun.keys() == in_line.keys() == set(range(len(jobs))), "everybody has a turn"
    assert all(begun[n] <= in_line[n] for n in begun)


# -- who passes whom -------------------------------------------------------------------------------


def test_one_that_uses_only_what_the_front_one_leaves_may_pass() -> None:
    running = [asked(1, gpus=2, cpus=1)]
    decided = decide([asked(2, gpus=1, cpus=1), asked(3, cpus=2), asked(4)], running)
    assert decided.start == (job(3), job(4))


def test_one_that_takes_from_the_front_one_may_not_pass() -> None:
    decided = decide([asked(2, cpus=4), asked(3, cpus=1)], [asked(1, cpus=3)])
    assert decided.start == ()
    assert decided.waiting == {
        job(2): "waits for 4 CPUs: 1 of 4 is free; job/job@1 has 3",
        job(3): "waits for its turn: job/job@2 is ahead of it",
    }


def test_what_runs_already_counts_even_beyond_what_there_is() -> None:
    decided = decide([asked(3, cpus=1)], [asked(1, cpus=4), asked(2, cpus=4)])
    assert decided.waiting == {job(3): "waits for 1 CPU: 0 of 4 are free; job/job@1 has 4, job/job@2 has 4"}


def test_no_more_run_than_the_project_allows() -> None:
    decided = decide([asked(2), asked(3)], [asked(1)], parallel_jobs=2)
    assert decided == Turns((job(2),), {job(3): "waits for its turn: 2 of 2 jobs are running"})


def test_an_engine_nobody_asked_limits_only_the_number() -> None:
    decided = turns([asked(1, cpus=99), asked(2, gpus=9)], [], [], capacity=None, parallel_jobs=2)
    assert decided.start == (job(1), job(2))


def container(text: str, state: ContainerState = ContainerState.RUNNING, **given: object) -> Container:
    address = Address.parse(text)
    return Container(text, address, "1-a", state, **given)  # type: ignore[arg-type]


def test_of_endpoints_only_the_gpus_count_and_of_ended_jobs_nothing() -> None:
    held = holders(
        [
            container("job/a@1#0", cpus=1.0, memory=GIB),
            container("job/a@1#1", cpus=1.0, memory=GIB),
            container("job/b@1#0", ContainerState.EXITED, cpus=1.0, gpus=("GPU-a",)),
            container("endpoint/e/stable#0", cpus=2.0, memory=GIB, gpus=("GPU-b",)),
            container("gateway"),
        ]
    )
    assert held == (
        Request(Address.parse("endpoint/e"), {"gpus": 1}),
        Request(Address.parse("job/a@1"), {"cpus": 2, "memory": 2 * GIB}),
    )
    decided = decide([asked(1, gpus=2), asked(2, memory=7 * GIB)], others=held)
    assert decided.waiting == {
        job(1): "waits for 2 GPUs: 1 of 2 is free; endpoint/e has 1",
        job(2): "waits for 7 GiB of memory: 6 of 8 are free; job/a@1 has 2",
    }


# -- what could never run --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "instances", "told"),
    [
        ({"cpus": 8}, 1, ("cpus", "asks for 8 CPUs but the engine has 4 CPUs")),
        ({"cpus": 3}, 2, ("cpus", "asks for 2 × 3 CPUs, 6 CPUs in total, but the engine has 4 CPUs")),
        ({"cpus": 2}, 2, None),
        ({"memory": "9GiB"}, 1, ("memory", "asks for 9 GiB of memory but the engine has 8 GiB of memory")),
        ({"gpus": 1}, 3, ("gpus", "asks for 3 × 1 GPU, 3 GPUs in total, but the engine has 2 GPUs")),
        ({}, 64, None),
    ],
)
def test_a_job_beyond_the_engine_is_told_with_the_figures(
    resources: Mapping[str, object], instances: int, told: tuple[str, str] | None
) -> None:
    document = {"kind": "TrainingJob", "name": "a", "version": 1, "resources": resources, "instances": instances}
    (wanted,) = desired_from(document).jobs
    assert beyond(wanted, ENGINE) == told


NODES = Capacity.of(
    [NodeCapacity("n1", 4, 8 * GIB), NodeCapacity("n2", 4, 8 * GIB), NodeCapacity("n3", 2, 4 * GIB, ("GPU-c",))]
)


@pytest.mark.parametrize(
    ("instances", "resources", "told"),
    [
        (1, {"cpus": 4, "memory": "8GiB"}, None),
        (2, {"cpus": 4}, None),
        (5, {"cpus": 2}, None),
        (1, {"cpus": 6}, ("cpus", "asks for 6 CPUs but the largest node has 4 CPUs")),
        (3, {"cpus": 3}, ("cpus", "asks for 3 × 3 CPUs, and the nodes have room for 2 of that")),
        (1, {"cpus": 4, "gpus": 1}, ("cpus", "asks for 1 × 4 CPUs and 1 GPU, and the nodes have room for 0 of that")),
        (1, {"cpus": 11}, ("cpus", "asks for 11 CPUs but the engine has 10 CPUs")),
        (4, {}, None),
    ],
)
def test_each_host_of_a_job_fits_one_node(
    instances: int, resources: Mapping[str, object], told: tuple[str, str] | None
) -> None:
    document = {"kind": "TrainingJob", "name": "a", "version": 1, "resources": resources, "instances": instances}
    (wanted,) = desired_from(document).jobs
    assert beyond(wanted, NODES) == told


def test_an_instance_that_fits_no_node_is_refused_in_the_plan() -> None:
    variant = {"name": "only", "model": "a@1", "resources": {"cpus": 6}}
    job = {"kind": "TrainingJob", "name": "a", "version": 1}
    plan = reconcile(
        desired_from(job, {"kind": "Endpoint", "name": "e", "variants": [variant]}), Observed(capacity=NODES), START
    )
    told = "resources.cpus of only: asks for 6 CPUs but the largest node has 4 CPUs"
    assert [(problem.about, problem.what) for problem in plan.refused] == [("endpoint/e", told)]


def test_a_job_beyond_the_engine_is_refused_in_the_plan_unless_it_runs_already() -> None:
    document = {"kind": "TrainingJob", "name": "a", "version": 1, "resources": {"cpus": 8}}
    endpoint = {"kind": "Endpoint", "name": "e", "variants": [{"name": "only", "model": "a@1"}]}
    desired = desired_from(document, endpoint)
    plan = reconcile(desired, Observed(capacity=ENGINE), START)
    assert [action.verb for action in plan] == ["start-gateway"]
    assert [(problem.about, problem.what) for problem in plan.refused] == [
        ("job/a@1", "resources.cpus: asks for 8 CPUs but the engine has 4 CPUs"),
        ("endpoint/e", plan.refused[1].what),
    ]
    runs = replace(container("job/a@1#0", started_at=datetime(2026, 1, 1, tzinfo=UTC)), hash=desired.jobs[0].key)
    adopted = reconcile(desired_from(document), Observed(containers=(runs,), capacity=ENGINE), START)
    assert [action.verb for action in adopted] == ["run-job"]
    assert not adopted.refused


def test_a_job_asks_for_all_its_containers_together() -> None:
    document = {"kind": "TrainingJob", "name": "a", "version": 1, "instances": 3}
    (wanted,) = desired_from(document | {"resources": {"cpus": 0.5, "memory": "1GiB", "gpus": 1}}).jobs
    assert needs_of(wanted) == {"cpus": 1.5, "memory": 3 * GIB, "gpus": 3}
    assert needs_of(desired_from(document).jobs[0]) == {}


# -- several nodes ---------------------------------------------------------------------------------

THREE = Capacity.of([NodeCapacity(name, 4, 8 * GIB) for name in ("n1", "n2", "n3")])


def hosts(number: int, count: int, **needs: float) -> Request:
    return Request(job(number), {r: count * amount for r, amount in needs.items()}, count)  # type: ignore[misc]


def on_nodes(*waiting: Request, beside: Sequence[Container] = (), capacity: Capacity = THREE) -> Turns:
    rooms = Rooms.of(capacity)
    assert rooms
    held = holders(beside)
    return turns(waiting, [], held, capacity=capacity, parallel_jobs=9, rooms=rooms.without(beside))


def test_hosts_that_find_no_room_on_nodes_wait_though_there_is_enough_in_all() -> None:
    decided = on_nodes(hosts(1, 2, cpus=3), hosts(2, 2, cpus=3))
    assert decided == Turns((job(1),), {job(2): "waits for 2 × 3 CPUs: the nodes have room for 1 of that"})
    assert on_nodes(hosts(1, 2, cpus=2), hosts(2, 2, cpus=2)).start == (job(1), job(2))


def test_what_runs_counts_on_its_node_and_an_instance_of_an_endpoint_too() -> None:
    beside = [
        container("job/a@1#0", cpus=2.0, node="n1"),
        container("endpoint/e/stable#0", cpus=2.0, node="n2"),
    ]
    assert on_nodes(hosts(1, 1, cpus=3), beside=beside).start == (job(1),)
    assert on_nodes(hosts(1, 2, cpus=3), beside=beside).waiting == {
        job(1): "waits for 2 × 3 CPUs: the nodes have room for 1 of that"
    }


def test_nobody_takes_what_one_ahead_lacks_on_the_nodes() -> None:
    beside = [container(f"job/a@{number}#0", cpus=1.0, node=f"n{number}") for number in (1, 2, 3)]
    decided = on_nodes(hosts(1, 1, cpus=4), hosts(2, 1, cpus=0.5), hosts(3, 1, memory=GIB), beside=beside)
    assert decided.start == (job(3),)
    assert decided.waiting[job(2)] == "waits for its turn: job/job@1 is ahead of it"


def test_a_small_job_does_not_take_the_only_node_that_one_ahead_of_it_has_room_on() -> None:
    two_kinds = Capacity.of([NodeCapacity("n1", 4, 8 * GIB, ("GPU-a",)), NodeCapacity("n2", 1, 8 * GIB)])
    beside = [container("job/a@1#0", gpus=("GPU-a",), node="n1")]
    decided = on_nodes(hosts(1, 1, cpus=4, gpus=1), hosts(2, 1, cpus=2), beside=beside, capacity=two_kinds)
    assert decided.start == ()


def test_hosts_that_are_still_to_come_have_their_room() -> None:
    document = {"kind": "TrainingJob", "instances": 2, "resources": {"cpus": 3}}
    desired = desired_from(document | {"name": "a", "version": 1}, document | {"name": "b", "version": 1})
    a, b = (wanted.address for wanted in desired.jobs)
    observed = Observed(capacity=THREE)
    plan = reconcile(desired, observed, START)
    assert jobs_due(plan, desired, observed).start == (a,)
    comes = replace(container("job/a@1#0", cpus=3.0, node="n1"), hash=desired.jobs[0].key)
    for there in ((comes,), (comes, replace(comes, name="other", address=Address.parse("job/a@1#1"), node=""))):
        seen = replace(observed, containers=there)
        decided = jobs_due(reconcile(desired, seen, START), desired, seen)
        assert decided.waiting[b] == "waits for 2 × 3 CPUs: the nodes have room for 1 of that"


@given(jobs_to_come, st.integers(1, 4), st.randoms(use_true_random=False))
def test_no_node_is_overfull_and_everybody_has_a_turn(jobs: list[Job], parallel_jobs: int, random: Random) -> None:
    """The engine chooses nodes as it likes, so a job that was let begin may find no room, and waits."""
    capacity = Capacity.of([NodeCapacity(name, 4, 8 * GIB, ("GPU-a", "GPU-b")) for name in ("n1", "n2")])
    empty = Rooms.of(capacity)
    assert empty
    begun: dict[int, int] = {}
    nodes: dict[int, str] = {}
    for now in range(200):
        running = [n for n, at in begun.items() if at + jobs[n].lasts > now]
        rooms = empty.without(_placed(n, jobs[n], nodes[n]) for n in running)
        came = sorted((j.came, n) for n, j in enumerate(jobs) if j.came <= now and n not in begun)
        waiting = [Request(job(n + 1), jobs[n].needs) for _, n in came]
        held = [Request(job(n + 1), jobs[n].needs) for n in running]
        decided = turns(waiting, held, [], capacity=capacity, parallel_jobs=parallel_jobs, rooms=rooms)
        assert set(decided.start) | set(decided.waiting) == {request.about for request in waiting}
        for number in (address.version - 1 for address in decided.start):
            fit = [name for name, free in rooms.free if not Rooms(((name, free),)).short(jobs[number].needs, 1)]
            if fit:
                begun[number], nodes[number] = now, random.choice(fit)
                rooms = rooms.without([_placed(number, jobs[number], nodes[number])])
        assert all(amount >= -1e-6 for _, free in rooms.free for amount in free.values())
    assert begun.keys() == set(range(len(jobs)))


def _placed(number: int, one: Job, node: str) -> Container:
    cpus, memory, gpus = (one.needs.get(resource, 0) for resource in ("cpus", "memory", "gpus"))
    ids = tuple(f"GPU-{n}" for n in range(int(gpus)))
    return container(f"job/job@{number + 1}#0", cpus=cpus, memory=int(memory), gpus=ids, node=node)
