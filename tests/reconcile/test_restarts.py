"""One image a variant, and restarts: what the cases beside do not show."""

from __future__ import annotations

from typing import Any

from sagespec.plan import StartInstance
from sagespec.reconcile.options import Options
from sagespec.state.revision import RevisionStatus
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import (
    exited,
    gone,
    image_gone,
    manifest_lost,
    restart_asked,
    rollback_asked,
    rolled_back,
    upgraded,
)

JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]


def spec(model: str = "churn@1", *, instances: int = 1, weight: float = 1) -> Any:
    stable = {"name": "stable", "model": model, "instances": instances, "weight": weight}
    other = {"name": "other", "model": "churn@1"}
    return desired_from(*JOBS, {"kind": "Endpoint", "name": "churn", "variants": [stable, other]})


def settled(desired: Any) -> SimulatedWorld:
    world = SimulatedWorld()
    world.settle(desired)
    return world


def images(world: SimulatedWorld, variant: str = "stable") -> list[str]:
    return [c.image for c in world.containers if c.address.variant == variant]


def names(world: SimulatedWorld) -> set[str]:
    return {container.name for container in world.containers}


def test_all_instances_of_a_variant_run_one_image_whatever_release_adds_some() -> None:
    world = settled(spec())
    upgraded(world, "sagespec")
    world.settle(spec(instances=3))
    exited(world, "endpoint/churn/stable#0")
    world.settle(spec(instances=3))
    assert images(world) == ["sagespec/xgboost:1"] * 3
    world.settle(spec("churn@2", instances=2))
    assert images(world) == ["sagespec/xgboost:2"] * 2, "another model starts from what there is now"
    assert images(world, "other") == ["sagespec/xgboost:1"]


def test_what_never_took_requests_decides_nothing() -> None:
    world = settled(spec())
    upgraded(world, "sagespec")
    for name in ("endpoint/churn/stable#0", "endpoint/churn/other#0"):
        exited(world, name)
    world.gateway.set_route("churn", None, {})
    starts = [action for action in world.plan(spec()).actions if isinstance(action, StartInstance)]
    assert [action.image for action in starts] == ["", ""]


def test_scaling_without_the_image_of_the_others_moves_the_whole_variant() -> None:
    world = settled(spec())
    upgraded(world, "sagespec")
    image_gone(world, "sagespec/xgboost:1")
    before = world.container_at(next(c.address for c in world.containers if c.address.variant == "other")).launch.name
    world.settle(spec(instances=3))
    assert images(world) == ["sagespec/xgboost:2"] * 3
    assert before in names(world), "nothing of it is missing, so it serves on"
    (_, newest) = world.records.history("churn")
    assert newest.reason == "sagespec/xgboost:1, which stable ran, is gone"


def test_a_restart_is_recorded_and_what_it_made_serves_on() -> None:
    world = settled(spec())
    upgraded(world, "sagespec")
    restart_asked(world, "churn")
    assert not world.settle(spec()).actions
    assert (images(world), images(world, "other")) == (["sagespec/xgboost:2"], ["sagespec/xgboost:2"])
    newest = world.records.history("churn")[-1]
    assert (newest.number, newest.status, newest.reason) == (2, RevisionStatus.LIVE, "restarted: a new image")
    assert not world.observed().restarts
    serving = names(world)
    world.settle(spec(weight=3))
    assert names(world) == serving, "another weight replaces no container"
    world.settle(spec("churn@2", weight=3))
    assert len(names(world) & serving) == 2, "the gateway and the variant that did not change"


def test_a_restart_that_fails_leaves_what_serves_and_is_not_tried_again() -> None:
    world = settled(spec("churn@2"))
    serving = names(world)
    world.unhealthy.add("churn@2")
    restart_asked(world, "churn/stable")
    world.settle(spec("churn@2"))
    assert world.records.history("churn")[-1].status is RevisionStatus.FAILED
    plan = world.plan(spec("churn@2"))
    assert (plan.actions, plan.refused, names(world)) == ((), (), serving)


def test_a_restart_forgets_no_roll_back() -> None:
    world = settled(spec())
    world.settle(spec("churn@2"))
    rolled_back(world, "churn")
    world.settle(spec("churn@2"))
    restart_asked(world, "churn")
    world.settle(spec("churn@2"))
    newest = world.records.history("churn")[-1]
    assert newest.reason.endswith("restarted: a new image")
    plan = world.plan(spec("churn@2"))
    assert not plan.actions
    assert "was rolled back" in str(plan.held[0])


def test_a_variant_whose_image_is_gone_is_replaced_once_and_not_for_ever() -> None:
    world = settled(spec(instances=2))
    upgraded(world, "sagespec")
    image_gone(world, "sagespec/xgboost:1")
    gone(world, "endpoint/churn/stable#0")
    world.unhealthy.add("churn@1")
    for _ in range(2):
        world.settle(spec(instances=2))
    assert [r.status for r in world.records.history("churn")] == [RevisionStatus.LIVE, RevisionStatus.FAILED]
    world.unhealthy.clear()
    for container in world.containers:
        if (container.address.variant, container.address.instance) == ("stable", 0):
            world.runtime.remove(container.name)
    assert not world.settle(spec(instances=2)).actions
    assert sorted(images(world)) == ["sagespec/xgboost:1", "sagespec/xgboost:2"], "rather than one instance too few"
    restart_asked(world, "churn/stable")
    world.settle(spec(instances=2))
    assert images(world) == ["sagespec/xgboost:2"] * 2


def test_a_restart_makes_way_for_the_spec_where_its_model_was_trained_again() -> None:
    world = settled(spec())
    restart_asked(world, "churn")
    manifest_lost(world, "job/churn@1")
    world.settle(spec())
    assert not world.settle(spec()).actions
    assert world.records.history("churn")[-1].reason == "restarted: a new image"


def test_no_request_for_a_restart_outlives_the_endpoint() -> None:
    world = settled(spec())
    restart_asked(world, "churn")
    world.settle(desired_from(*JOBS), Options(prune=True))
    assert not world.observed().restarts


def test_a_restart_of_the_gateway_leaves_the_instances_of_a_roll_out_that_goes_on() -> None:
    world = settled(spec())
    world.carry_out(world.plan(spec("churn@2")), set(), limit=1)  # its instance runs, and has no traffic yet
    restart_asked(world, "gateway")
    serving = names(world)
    world.settle(spec(), Options(leaves_new=True))
    assert not world.observed().restarts
    assert names(world) == serving


def test_the_route_is_said_to_be_changed_by_nobody_while_new_instances_wait_for_it() -> None:
    world = settled(spec())
    restart_asked(world, "churn/stable")
    world.carry_out(world.plan(spec()), set(), limit=1)
    assert "set-routes       endpoint/churn           new instances\n" in world.plan(spec()).text()


def test_the_history_says_to_which_revision_a_spec_was_rolled_back_and_forgets_no_restart() -> None:
    world = settled(spec())
    world.settle(spec("churn@2"))
    restart_asked(world, "churn")
    world.settle(spec("churn@2"))
    rollback_asked(world, "churn")
    for _ in range(3):
        world.settle(spec("churn@2"))
        restart_asked(world, "churn")
    reasons = [(r.number, r.reason) for r in world.records.history("churn")]
    back, again = "rolled back to revision 1: it was worse", "restarted: a new image"
    assert reasons[2:] == [(3, f"{again}; {back}"), (4, back), (5, f"{back}; {again}"), (6, f"{back}; {again}")]
    world.settle(spec("churn@2"))
    assert f"was {back}" in str(world.plan(spec("churn@2")).held[0])
