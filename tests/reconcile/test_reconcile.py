"""Every file in tests/cases/reconcile is one case: specs that are live, what happened, and the plan expected.

about: one sentence
earlier: [documents]     settled before `before`: models without a spec, earlier revisions
before: [documents]      settled first, in a simulated world
begun: [documents]       what an earlier run has started for these, and left running
happened: [events]       gone ADDRESS | exited ADDRESS | created ADDRESS |
                         unhealthy MODEL | silent MODEL | failing JOB |
                         gateway gone | gateway exited | gateway silent | gateway changed |
                         route lost ENDPOINT | route changed ENDPOINT | rolled back ENDPOINT
after: [documents]       left out: as before
engine: {cpus: 4, memory: 8589934592}    what it has, when that is asked
options: {retry: true}
plan: |                  the plan's text
refused: [texts]         parts of the problems, in order
notes: [texts]
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sagespec.reconcile.instances import UNHEALTHY_GRACE
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import Desired
from sagespec.state.hashes import hash_of
from sagespec.state.labels import container_name
from sagespec.state.observed import Capacity, Container, ContainerState, Route
from sagespec.state.revision import RevisionStatus, live_revision
from tests.fakes.specs import PROJECT, desired_from
from tests.simulation import START, Simulation

CASES = sorted((Path(__file__).parents[1] / "cases" / "reconcile").glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    world = Simulation()
    if case.get("earlier"):
        earlier = desired_from(*case["earlier"])
        world.gateway_hash = earlier.gateway_hash
        world.settle(earlier)
    before = desired_from(*case.get("before", []), manifests=world.manifests)
    world.gateway_hash = before.gateway_hash
    for event in (e for e in case.get("happened", []) if e.startswith(("unhealthy", "failing"))):
        happen(world, event)
    world.settle(before)
    begin(world, desired_from(*case.get("begun", []), manifests=world.manifests))
    for event in (e for e in case.get("happened", []) if not e.startswith(("unhealthy", "failing"))):
        happen(world, event)
    after = desired_from(*case.get("after", case.get("before", [])), manifests=world.manifests)

    world.capacity = Capacity(**case["engine"]) if "engine" in case else None
    plan = world.plan(after, Options(**case.get("options", {})))

    assert plan.text() == case.get("plan", "").rstrip("\n")
    assert len(plan.refused) == len(case.get("refused", [])), plan.refused
    for problem, part in zip(plan.refused, case.get("refused", []), strict=True):
        assert part in str(problem)
    assert len(plan.notes) == len(case.get("notes", [])), plan.notes
    for note, part in zip(plan.notes, case.get("notes", []), strict=True):
        assert part in note


def happen(world: Simulation, event: str) -> None:
    """Change the simulated world as the case says."""
    *words, name = event.split(" ")
    match words:
        case ["unhealthy"]:
            world.unhealthy.add(name)
        case ["failing"]:
            world.failing_jobs.add(Address.parse(name))
        case ["gone"]:
            del world.containers[container_at(world, name)]
        case ["exited"]:
            container = world.containers[container_at(world, name)]
            world.containers[container.name] = replace(container, state=ContainerState.EXITED, exit_code=137)
        case ["created"]:
            container = world.containers[container_at(world, name)]
            world.containers[container.name] = replace(container, state=ContainerState.CREATED)
        case ["gateway"]:
            container = next(c for c in world.containers.values() if c.address == GATEWAY)
            if name == "gone":
                del world.containers[container.name]
                world.routes.clear()
            elif name == "silent":
                world.gateway_answers = False
            elif name == "changed":
                world.containers[container.name] = replace(container, hash=hash_of("another port"))
            else:
                world.containers[container.name] = replace(container, state=ContainerState.EXITED)
        case ["silent"]:
            world.unhealthy.add(name)
            world.now += UNHEALTHY_GRACE + timedelta(seconds=1)
        case ["route", "changed"]:
            targets = tuple(replace(target, weight=1.0) for target in world.routes[name].targets)
            world.routes[name] = Route(name, targets)
        case ["route", "lost"]:
            del world.routes[name]
        case ["rolled", "back"]:
            roll_back(world, name)
        case _:
            raise AssertionError(f"the case says {event!r}, which means nothing")


def begin(world: Simulation, desired: Desired) -> None:
    """The containers of these jobs and endpoints, as they were started before all else; nobody followed them."""
    hosts = [
        (Address("job", job.name, job.version, instance=i), job.key)
        for job in desired.jobs
        for i in range(job.instances)
    ]
    instances = [
        (Address("endpoint", endpoint.name, variant=variant.name, instance=i), variant.hash)
        for endpoint in desired.endpoints
        for variant in endpoint.variants
        for i in range(variant.instances)
    ]
    for address, hash_text in (*hosts, *instances):
        name = container_name(PROJECT, address, hash_text)
        world.containers[name] = Container(name, address, hash_text, ContainerState.RUNNING, started_at=START)


def container_at(world: Simulation, address: str) -> str:
    return next(c.name for c in world.containers.values() if c.address == Address.parse(address))


def roll_back(world: Simulation, endpoint_name: str) -> None:
    """As Project.rollback does: the earlier live revision again, instead of the present one."""
    revisions = world.revisions[endpoint_name]
    live = live_revision(tuple(revisions))
    assert live
    earlier = next(r for r in reversed(revisions) if r.status is RevisionStatus.LIVE and r.number < live.number)
    revisions[revisions.index(live)] = live.model_copy(update={"status": RevisionStatus.ROLLED_BACK})
    revisions.append(earlier.model_copy(update={"number": revisions[-1].number + 1, "instead_of": live.hash}))


def test_the_same_input_gives_the_same_plan_byte_for_byte() -> None:
    documents: list[dict[str, Any]] = [
        {"kind": "TrainingJob", "name": "churn", "version": v, "hyperparameters": {"num_round": v}} for v in (3, 1, 2)
    ]
    endpoint = {
        "kind": "Endpoint",
        "name": "churn",
        "variants": [{"name": f"v{v}", "model": f"churn@{v}"} for v in (2, 3, 1)],
    }
    forwards, backwards = desired_from(*documents, endpoint), desired_from(endpoint, *reversed(documents))
    world = Simulation()
    assert world.plan(forwards).text() == world.plan(backwards).text()
    assert world.plan(forwards).as_json() == world.plan(backwards).as_json()


def test_a_roll_back_is_not_undone_by_the_next_apply_but_by_a_changed_spec() -> None:
    jobs = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2, 3)]

    def serving(model: str) -> Any:
        variants = [{"name": "stable", "model": model}]
        endpoint = {"kind": "Endpoint", "name": "churn", "variants": variants}
        return desired_from(*jobs, endpoint)

    world = Simulation(gateway_hash=serving("churn@1").gateway_hash)
    world.settle(serving("churn@1"))
    world.settle(serving("churn@2"))
    roll_back(world, "churn")
    world.settle(serving("churn@2"))
    plan = world.plan(serving("churn@2"))
    assert not plan.actions
    assert "was rolled back to revision 3" in str(plan.refused[0])
    assert {world.models[n] for t in world.routes["churn"].targets for n in t.instances} == {"churn@1"}
    assert world.plan(serving("churn@2"), Options(retry=True)).actions
    assert world.settle(serving("churn@3")).refused == ()


JOB = {"kind": "TrainingJob", "name": "churn", "version": 1}


def serving(instances: int = 1, model: str = "churn@1") -> dict[str, Any]:
    variants = [{"name": "stable", "model": model, "instances": instances}]
    return {"kind": "Endpoint", "name": "churn", "variants": variants}


def settled(*documents: dict[str, Any]) -> Simulation:
    world = Simulation(gateway_hash=desired_from().gateway_hash)
    world.settle(desired_from(*documents))
    return world


def test_companions_are_no_hosts_but_go_with_their_job() -> None:
    job = JOB | {"input_mode": "pipe", "channels": {"train": "s3://acme/train"}}
    desired = desired_from(job)
    (wanted,) = desired.jobs
    host, feeder = Address("job", "churn", 1, instance=0), Address("job", "churn", 1, "feeder", 0)
    running = [
        Container(container_name(PROJECT, address, wanted.key), address, wanted.key, ContainerState.RUNNING)
        for address in (host, feeder)
    ]
    world = Simulation(gateway_hash=desired.gateway_hash, containers={c.name: c for c in running})
    assert world.plan(desired).text().strip() == "run-job  job/churn@1  picked up: already running"
    world.containers = {running[1].name: running[1]}
    assert [action.verb for action in world.plan(desired).actions] == ["remove-container", "run-job"]


def test_what_serves_stays_though_a_killed_run_recorded_nothing_and_the_new_spec_fails() -> None:
    world = settled(JOB, serving())
    world.revisions.clear()  # killed between set-routes and record-revision
    world.failing_jobs.add(Address("job", "churn", 2))
    broken = desired_from(JOB, JOB | {"version": 2}, serving(model="churn@2"))
    world.settle(broken)
    assert world.routes["churn"].targets[0].instances
    assert {world.models[name] for name in world.containers if name in world.models} == {"churn@1"}


def test_instances_of_another_hash_format_get_siblings_of_that_format() -> None:
    world = settled(JOB, serving())
    (old,) = (c for c in world.containers.values() if c.address.variant)
    older = replace(old, hash="0-" + "ab" * 8, name=container_name(PROJECT, old.address, "0-" + "ab" * 8))
    world.containers = {c.name: c for c in world.containers.values() if c is not old} | {older.name: older}
    target = replace(world.routes["churn"].targets[0], hash=older.hash, instances=(older.name,))
    world.routes["churn"] = Route("churn", (target,))
    world.settle(desired_from(JOB, serving(instances=2)))
    instances = [c for c in world.containers.values() if c.address.variant]
    assert {c.hash for c in instances} == {older.hash}
    assert older.name in world.containers
    assert [len(t.instances) for t in world.routes["churn"].targets] == [2]


def test_a_routed_instance_that_the_gateway_does_not_probe_is_routed_to_again() -> None:
    world = settled(JOB, serving())
    observed = world.observed()
    blind = replace(observed, gateway=replace(observed.gateway, probes={}))
    plan = reconcile(desired_from(JOB, serving(), manifests=world.manifests), blind, world.now)
    assert [action.verb for action in plan] == ["set-routes"]


def test_a_roll_back_to_a_model_without_a_spec_starts_it_from_the_store() -> None:
    def spec(version: int) -> Any:
        job = {"kind": "TrainingJob", "name": "churn", "version": version}
        variants = [{"name": "stable", "model": f"churn@{version}"}]
        return desired_from(job, {"kind": "Endpoint", "name": "churn", "variants": variants})

    world = Simulation(gateway_hash=spec(1).gateway_hash)
    world.settle(spec(1))
    world.settle(spec(2))
    roll_back(world, "churn")
    first = Address("job", "churn", 1)
    del world.manifests[first]  # what `observe` reads are the manifests of jobs that specs name
    verbs = [action.verb for action in world.plan(spec(2))]
    assert verbs == ["start-instance", "await-healthy", "set-routes", "drain-instance", "remove-instance"]
