"""Every file in tests/cases/reconcile is one case: specs that are live, what happened, and the plan expected.

about: one sentence
earlier: [documents]     settled before `before`: models without a spec, earlier revisions
before: [documents]      settled first, in a simulated world
begun: [documents]       what an earlier run has started for these, and left running
happened: [WHAT: WHOM]   one of those in happenings.py, in order
after: [documents]       left out: as before
engine: {cpus: 4, memory: 8589934592}    what it has, when that is asked
secrets: {db: [1, 2]}    the versions before and after; null: it could not be asked
options: {retry: true}
environment: {jobs: never}     what it says of jobs: that, and models_from, in words
archives: {ADDRESS: [bytes, checksum]}   of models to be imported, where they are looked at
elsewhere: [documents]   jobs that are trained there; `away` when it does not answer
plan: |                  the plan's text
refused: [texts]         parts of the problems, in order
notes: [texts]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sagespec.inputs.pipes import feeder_launches
from sagespec.plan import Plan
from sagespec.reconcile.assumed import as_if_trained
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.run.launches import training_launches
from sagespec.state.addresses import Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.manifest import AttemptsRecord
from sagespec.state.observed import Archive, Capacity, Elsewhere, Route
from tests.fakes.specs import PROJECT, desired_from, gateway_settings
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import BEFORE_ANYTHING_RUNS, HAPPENINGS, begin, rolled_back, start_all

CASES = sorted((Path(__file__).parents[1] / "cases" / "reconcile").glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_case(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHOP_KEY", "OTHER_KEY"):  # for callers of the gateway
        monkeypatch.setenv(name, f"{name}-0123456789abcdef")
    case = yaml.safe_load(file.read_text())
    plan = plan_of(case)

    assert plan.text() == case.get("plan", "").rstrip("\n")
    assert len(plan.refused) == len(case.get("refused", [])), plan.refused
    for problem, part in zip(plan.refused, case.get("refused", []), strict=True):
        assert part in str(problem)
    assert len(plan.notes) == len(case.get("notes", [])), plan.notes
    for note, part in zip(plan.notes, case.get("notes", []), strict=True):
        assert part in note


def plan_of(case: Mapping[str, Any]) -> Plan:
    """What is planned in the end."""
    happened = [(what, whom) for event in case.get("happened", []) for what, whom in event.items()]
    old, new = (_versions(case, index) for index in (0, 1))
    world = SimulatedWorld()
    world.settle(desired_from(*case.get("earlier", [])))
    for what, whom in happened:
        if what in BEFORE_ANYTHING_RUNS:
            BEFORE_ANYTHING_RUNS[what](world, whom)
    world.set_gateway(gateway_settings(case.get("before", [])))
    world.settle(desired_from(*case.get("before", []), manifests=world.manifests, versions=old))
    begin(world, desired_from(*case.get("begun", []), manifests=world.manifests))
    for what, whom in happened:
        if what not in BEFORE_ANYTHING_RUNS:
            HAPPENINGS[what](world, str(whom))
    world.set_gateway(gateway_settings(case.get("after", case.get("before", []))))
    after = desired_from(*case.get("after", case.get("before", [])), manifests=world.manifests, versions=new)

    world.capacity = Capacity(**case["engine"]) if "engine" in case else None
    after = replace(after, **_of_environment(case.get("environment", {})))
    world.archives = {Address.parse(job): Archive(*said) for job, said in case.get("archives", {}).items()}
    world.elsewhere = _elsewhere(case["elsewhere"], world) if "elsewhere" in case else None
    return world.plan(after, Options(**case.get("options", {})))


def _versions(case: Mapping[str, Any], index: int) -> dict[str, str]:
    return {name: str(both[index]) for name, both in case.get("secrets", {}).items() if both[index] is not None}


def _of_environment(said: dict[str, str]) -> dict[str, Any]:
    return {"models_from": said.get("models_from", ""), "trains": said.get("jobs") != "never"}


def _elsewhere(said: Any, world: SimulatedWorld) -> Elsewhere:
    if said == "away":
        return Elsewhere(why_unknown="s3://acme-staging does not answer")
    now = world.clock.now()
    return Elsewhere({job.address: as_if_trained(job, "acme-staging", now) for job in desired_from(*said).jobs})


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
    world = SimulatedWorld()
    assert world.plan(forwards).text() == world.plan(backwards).text()
    assert world.plan(forwards).as_json() == world.plan(backwards).as_json()


def test_a_roll_back_is_not_undone_by_the_next_apply_but_by_a_changed_spec() -> None:
    jobs = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2, 3)]

    def serving(model: str) -> Any:
        variants = [{"name": "stable", "model": model}]
        endpoint = {"kind": "Endpoint", "name": "churn", "variants": variants}
        return desired_from(*jobs, endpoint)

    world = SimulatedWorld()
    world.settle(serving("churn@1"))
    world.settle(serving("churn@2"))
    rolled_back(world, "churn")
    world.settle(serving("churn@2"))
    plan = world.plan(serving("churn@2"))
    assert not plan.actions
    assert "was rolled back" in str(plan.held[0])
    assert {world.models[n] for t in world.routes["churn"].targets for n in t.instances} == {"churn@1"}
    assert world.plan(serving("churn@2"), Options(retry=True)).actions
    assert world.settle(serving("churn@3")).refused == ()


JOB = {"kind": "TrainingJob", "name": "churn", "version": 1}


def test_changed_code_is_refused_with_what_counts_as_code() -> None:
    world, desired = SimulatedWorld(), desired_from(JOB)
    (job,) = desired.jobs
    world.settle(replace(desired, jobs=(replace(job, key_fields={**job.key_fields, "code": "1"}),)))
    edited = replace(job, key="1-edited", key_fields={**job.key_fields, "code": "2"})
    (problem,) = world.plan(replace(desired, jobs=(edited,))).refused
    assert problem.what == "code is 2, but version 1 was trained with 1"
    assert "all files in its folder count, but those that .sagespecignore names" in problem.why


def test_an_edit_of_a_running_job_is_refused_with_what_it_was_started_with() -> None:
    world = SimulatedWorld()
    before, edited = (desired_from({**JOB, "hyperparameters": {"eta": eta}}) for eta in (0.1, 0.2))
    begin(world, before)
    (job,) = before.jobs
    listing = {"code": {"train.py": "1"}}
    known = {
        job.address: AttemptsRecord(
            key=job.key, key_fields={**job.key_fields}, wanted_at=world.clock.now(), files=listing
        )
    }
    (problem,) = reconcile(edited, replace(world.observed(), started_with=known), world.clock.now()).refused
    assert problem.what == "hyperparameters.eta is 0.2, but it was started with 0.1"
    now = {"code": {"train.py": "2", "notes.txt": "1"}}
    typed = replace(job, key="1-typed", key_fields={**job.key_fields, "code": "2"}, files=now)
    (said,) = reconcile(
        replace(before, jobs=(typed,)), replace(world.observed(), started_with=known), world.clock.now()
    ).refused
    assert said.what == "code differs from what it was started with: notes.txt added, train.py changed"
    assert "`sagespec stop job/churn@1`" in problem.fix
    assert "version: 2" in problem.fix
    assert world.plan(before).text() == "run-job  job/churn@1  picked up: already running"


def serving(instances: int = 1, model: str = "churn@1") -> dict[str, Any]:
    variants = [{"name": "stable", "model": model, "instances": instances}]
    return {"kind": "Endpoint", "name": "churn", "variants": variants}


def settled(*documents: dict[str, Any]) -> SimulatedWorld:
    world = SimulatedWorld()
    world.settle(desired_from(*documents))
    return world


def test_companions_are_no_hosts_but_go_with_their_job() -> None:
    job = JOB | {"input_mode": "pipe", "channels": {"train": "s3://acme/train"}}
    desired = desired_from(job)
    (wanted,) = desired.jobs
    world = SimulatedWorld()
    hosts = training_launches(PROJECT, wanted)
    start_all(world, [*hosts, *feeder_launches(PROJECT, wanted, hosts)])
    assert world.plan(desired).text().strip() == "run-job  job/churn@1  picked up: already running"
    world.runtime.remove(hosts[0].name)
    assert [action.verb for action in world.plan(desired).actions] == ["remove-container", "run-job"]


def test_what_serves_stays_though_a_killed_run_recorded_nothing_and_the_new_spec_fails() -> None:
    world = settled(JOB, serving())
    world.records.store.delete(f"{PROJECT}/endpoints/churn/revisions/1.json")  # as if killed before it was recorded
    world.fail_job(Address("job", "churn", 2))
    broken = desired_from(JOB, JOB | {"version": 2}, serving(model="churn@2"))
    world.settle(broken)
    assert world.routes["churn"].targets[0].instances
    assert {world.models[c.name] for c in world.containers if c.address.variant} == {"churn@1"}


def as_of_another_format(world: SimulatedWorld) -> Launch:
    """The one instance, and its target, as if a release with another hash format had started it."""
    (old,) = (c.launch for c in world.engine.all.values() if c.launch.address.variant)
    hash_text = "0-" + "ab" * 8
    older = replace(old, hash=hash_text, name=container_name(PROJECT, old.address, hash_text))
    start_all(world, [older])
    target = replace(world.routes["churn"].targets[0], hash=older.hash, instances=(older.name,))
    world.gateway.set_route("churn", Route("churn", (target,)), {c.name: (c.host, c.port) for c in world.containers})
    world.runtime.remove(old.name)
    return older


def test_instances_of_another_hash_format_get_siblings_of_that_format() -> None:
    world = settled(JOB, serving())
    older = as_of_another_format(world)
    world.settle(desired_from(JOB, serving(instances=2)))
    instances = [c for c in world.containers if c.address.variant]
    assert {c.hash for c in instances} == {older.hash}
    assert older.name in {c.name for c in instances}
    assert [len(t.instances) for t in world.routes["churn"].targets] == [2]


def test_a_routed_instance_that_the_gateway_does_not_probe_is_routed_to_again() -> None:
    world = settled(JOB, serving())
    observed = world.observed()
    blind = replace(observed, gateway=replace(observed.gateway, probes={}))
    plan = reconcile(desired_from(JOB, serving(), manifests=world.manifests), blind, world.clock.now())
    assert [action.verb for action in plan] == ["set-routes"]


def test_a_roll_back_to_a_model_without_a_spec_starts_it_from_the_store() -> None:
    def spec(version: int) -> Any:
        job = {"kind": "TrainingJob", "name": "churn", "version": version}
        variants = [{"name": "stable", "model": f"churn@{version}"}]
        return desired_from(job, {"kind": "Endpoint", "name": "churn", "variants": variants})

    world = SimulatedWorld()
    world.settle(spec(1))
    world.settle(spec(2))
    rolled_back(world, "churn")
    observed = world.observed()
    named = {address: manifest for address, manifest in observed.manifests.items() if address.version == 2}
    seen = replace(observed, manifests=named)  # `observe` reads the manifests of jobs that specs name
    verbs = [action.verb for action in reconcile(spec(2), seen, world.clock.now())]
    assert verbs == ["start-instance", "await-healthy", "set-routes", "drain-instance", "remove-instance"]


def test_an_instance_that_may_be_loading_its_model_is_not_started_again() -> None:
    """One that is made again stands in the route at once, where nobody has found it healthy yet."""
    slow = {"kind": "Endpoint", "name": "churn", "variants": [{"name": "a", "model": "churn@1"}]}
    desired = desired_from(JOB, slow)
    world = SimulatedWorld()
    world.settle(desired)
    world.turn_unhealthy("churn@1")
    for seconds, verbs in ((200, set()), (400, {"start-instance"})):
        world.clock.sleep(seconds)
        assert {action.verb for action in world.plan(desired)} & {"start-instance"} == verbs
