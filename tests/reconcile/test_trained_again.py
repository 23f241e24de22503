"""A model trained again under its version is another model; and what an earlier release started and recorded, whose
hashes do not tell the model, is taken up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sagespec.state.addresses import Address
from sagespec.state.hashes import UNTRAINED, model_of, same_hash, with_model
from sagespec.state.labels import container_name
from sagespec.state.observed import Container, Route
from sagespec.state.revision import RevisionStatus
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import manifest_lost, rollback_asked, start_all

JOB = {"kind": "TrainingJob", "name": "churn", "version": 1}
NEXT = JOB | {"version": 2}
CHURN = Address("job", "churn", 1)


def serving(model: str = "churn@1", instances: int = 1, **more: Any) -> dict[str, Any]:
    variant = {"name": "stable", "model": model, "instances": instances, **more}
    return {"kind": "Endpoint", "name": "churn", "variants": [variant]}


def settled(*documents: dict[str, Any]) -> SimulatedWorld:
    world = SimulatedWorld()
    world.settle(desired_from(*documents))
    return world


def instances(world: SimulatedWorld) -> list[Container]:
    return [container for container in world.containers if container.address.variant]


def models(world: SimulatedWorld) -> set[bytes | None]:
    """What the routed instances serve."""
    routed = {name for target in world.routes["churn"].targets for name in target.instances}
    return {world.runtime.read(name, "model/model.txt") for name in routed}


def lose_the_store(world: SimulatedWorld) -> None:
    world.objects.clear()
    manifest_lost(world, str(CHURN))  # the next training gives another model


def test_after_the_store_is_lost_the_model_that_is_trained_again_is_what_serves() -> None:
    world = settled(JOB, serving(instances=2))
    lose_the_store(world)
    desired = desired_from(JOB, serving(instances=2))
    assert "start-instance   endpoint/churn/stable#0  model churn@1 is trained again\n" in world.plan(desired).text()
    world.settle(desired)
    assert models(world) == {b"another model\n"}
    assert not world.plan(desired).actions


def test_a_model_trained_again_is_never_mixed_with_the_earlier_one_by_scaling() -> None:
    world = settled(JOB, serving())
    manifest_lost(world, str(CHURN))
    world.settle(desired_from(JOB))
    text = world.plan(desired_from(JOB, serving(instances=3))).text()
    assert text.startswith("start-instance   endpoint/churn/stable#0  model churn@1 was trained again: ")
    world.settle(desired_from(JOB, serving(instances=3)))
    assert models(world) == {b"another model\n"}
    assert len(instances(world)) == 3


def test_a_failure_of_the_earlier_training_does_not_hold_back_the_next_one() -> None:
    world = SimulatedWorld()
    world.turn_unhealthy("churn@1")
    world.settle(desired_from(JOB, serving()))
    assert world.plan(desired_from(JOB, serving())).refused
    manifest_lost(world, str(CHURN))
    world.unhealthy.clear()
    assert world.settle(desired_from(JOB, serving())).refused == ()
    assert models(world) == {b"another model\n"}


def test_what_failed_beside_a_model_that_was_still_to_be_trained_is_not_tried_again_once_it_is() -> None:
    world = settled(NEXT)
    world.turn_unhealthy("churn@2")
    both = {"kind": "Endpoint", "name": "churn", "variants": [{"name": "a", "model": "churn@1"}]}
    both["variants"].append({"name": "b", "model": "churn@2"})  # type: ignore[attr-defined]
    world.settle(desired_from(JOB, NEXT, both))
    after = world.plan(desired_from(JOB, NEXT, both))
    assert ["failed" in problem.what for problem in after.refused] == [True]
    assert not after.actions


def test_a_rollback_to_a_model_that_was_trained_again_fails_and_changes_nothing() -> None:
    world = settled(JOB, NEXT, serving())
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    manifest_lost(world, str(CHURN))
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    rollback_asked(world, "churn")
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    assert {world.models[name] for target in world.routes["churn"].targets for name in target.instances} == {"churn@2"}


# -- what earlier releases made


def as_before(world: SimulatedWorld) -> None:
    """What serves and is recorded, as the release before wrote it: no hash and no record tells the model."""
    containers = instances(world)
    (hash_text,) = {"1-" + container.hash.split("-")[1] for container in containers}
    launches = [
        replace(
            world.engine.all[container.name].launch,
            hash=hash_text,
            name=container_name(PROJECT, container.address, hash_text),
        )
        for container in containers
    ]
    start_all(world, launches)
    target = replace(world.routes["churn"].targets[0], hash=hash_text, instances=tuple(one.name for one in launches))
    world.gateway.set_route("churn", Route("churn", (target,)), {c.name: (c.host, c.port) for c in world.containers})
    for container in containers:
        world.runtime.remove(container.name)
    for revision in world.records.history("churn"):
        record = revision.asked.model_dump(mode="json")
        for variant in record["variants"]:
            del variant["model"]["sha256"]
        world.records.write_revision(revision.model_validate({**revision.model_dump(mode="json"), "asked": record}))


def as_it_was(*documents: dict[str, Any]) -> SimulatedWorld:
    world = settled(*documents)
    as_before(world)
    return world


def test_what_the_release_before_serves_is_taken_up_as_it_is() -> None:
    world = as_it_was(JOB, NEXT, serving(instances=2))
    desired = desired_from(JOB, NEXT, serving(instances=2))
    assert world.plan(desired).text() == ""
    before = instances(world)
    world.settle(desired_from(JOB, NEXT, serving(instances=3)))
    assert {c.hash for c in instances(world)} == {before[0].hash}
    assert {c.name for c in before} < {c.name for c in instances(world)}
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    assert model_of(instances(world)[0].hash)


def test_an_edit_of_what_the_release_before_serves_is_seen() -> None:
    world = as_it_was(JOB, serving())
    plan = world.plan(desired_from(JOB, serving(environment={"MODE": "x"})))
    assert plan.text().startswith("start-instance   endpoint/churn/stable#0  environment.MODE added\n")


def test_an_instance_of_the_release_before_that_is_gone_is_not_trained_again() -> None:
    world = as_it_was(JOB, serving())
    world.runtime.remove(instances(world)[0].name)
    plan = world.plan(desired_from(JOB, serving()))
    assert plan.text().startswith("start-instance  endpoint/churn/stable#0  its container is gone\n")
    world.settle(desired_from(JOB, serving()))
    assert not world.plan(desired_from(JOB, serving())).actions


@pytest.mark.parametrize("is_all_lost", [False, True])
def test_what_the_release_before_serves_is_replaced_once_its_model_is_trained_again(is_all_lost: bool) -> None:
    world = as_it_was(JOB, serving())
    world.clock.sleep(60)
    if is_all_lost:
        lose_the_store(world)
    else:
        manifest_lost(world, str(CHURN))
    world.settle(desired_from(JOB))  # the endpoint's spec is read later
    text = world.plan(desired_from(JOB, serving())).text()
    assert text.startswith("start-instance   endpoint/churn/stable#0  model churn@1 was trained again\n")
    world.settle(desired_from(JOB, serving()))
    assert models(world) == {b"another model\n"}
    live = [r for r in world.records.history("churn") if r.status is RevisionStatus.LIVE]
    assert model_of(instances(world)[0].hash) == live[-1].asked.variants[0].model.sha256[:12] != ""


def test_a_rollback_to_a_revision_of_the_release_before_serves_what_the_store_has() -> None:
    world = as_it_was(JOB, NEXT, serving())
    world.settle(desired_from(JOB, NEXT, serving("churn@2")))
    rollback_asked(world, "churn")
    desired = desired_from(JOB, NEXT, serving("churn@2"))
    plan = world.settle(desired)
    assert {world.models[name] for target in world.routes["churn"].targets for name in target.instances} == {"churn@1"}
    assert not plan.actions


def test_hashes_are_as_the_release_before_made_them_but_for_the_model() -> None:
    manifests = settled(JOB).manifests
    (before,) = desired_from(JOB, serving()).endpoints
    (after,) = desired_from(JOB, serving(), manifests=manifests).endpoints
    assert before.hash == after.hash == "1-efe52f55cc3cb1cc"
    checksum = manifests[CHURN].artifacts["model"].sha256
    assert [v.hash for v in after.variants] == [with_model("1-f691122bf599bee1", checksum)]
    assert [v.hash for v in before.variants] == [with_model("1-f691122bf599bee1", UNTRAINED)]


@pytest.mark.parametrize(
    ("wanted", "live", "same"),
    [
        ("1-a", "1-a", True),
        ("1-a", "1-b", False),
        ("1-a-x", "1-a", True),
        ("1-a-x", "1-b", False),
        ("1-a", "1-a-x", True),
        ("1-a-x", "1-a-x", True),
        ("1-a-x", "1-a-y", False),
        ("1-a-untrained", "1-a", False),
        ("1-a-x", "2-b", True),
        ("1-a-x", "", True),
    ],
)
def test_hashes_are_compared_as_far_as_both_tell(wanted: str, live: str, same: bool) -> None:
    assert same_hash(wanted, live) is same
