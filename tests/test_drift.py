"""What counts as drift and what is pending, over the planning cases."""

from __future__ import annotations

import io

import pytest
import yaml

from sagespec.causes import Reason
from sagespec.drift import drift_ids, drift_of, pending_of
from sagespec.plan import Plan
from sagespec.show.plan import write_drift, write_plan
from sagespec.show.screen import Screen
from sagespec.show.verbs import counts
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.test_reconcile import CASES, plan_of

BY_NAME = {file.stem: file for file in CASES}
JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]


def case(name: str) -> Plan:
    return plan_of(yaml.safe_load(BY_NAME[name].read_text()))


@pytest.mark.parametrize(
    "name",
    [
        "gateway_exited",
        "gateway_gone",
        "gateway_does_not_answer",
        "gateway_off_its_network",
        "instance_does_not_answer",
        "instance_exited",
        "instance_gone",
        "notebook_died",
        "route_changed_by_hand",
        "route_lost",
    ],
)
def test_what_was_applied_and_is_not_there_is_drift_to_the_last_action(name: str) -> None:
    plan = case(name)
    assert plan.actions
    assert drift_of(plan).actions == plan.actions
    assert pending_of(plan).actions == ()


@pytest.mark.parametrize(
    "name",
    [
        "new_project",
        "changed_weight_touches_only_the_routes",
        "changed_model_replaces_only_its_variant",
        "scale_in",
        "scale_out",
        "variant_added",
        "restart_that_is_asked_for",
        "rollout_begins",
        "rollout_worse_is_taken_back",
        "job_running_is_picked_up",
        "prune",
        "key_changed",
    ],
)
def test_what_somebody_asks_for_is_no_drift(name: str) -> None:
    plan = case(name)
    assert plan.actions
    assert drift_ids(plan) == frozenset()
    assert pending_of(plan) == plan


def test_both_at_one_endpoint_are_told_apart() -> None:
    """One variant has died while the weight of both is to change."""

    def spec(weight: int) -> dict[str, object]:
        variants = [{"name": "a", "model": "churn@1", "weight": weight}, {"name": "b", "model": "churn@2"}]
        return {"kind": "Endpoint", "name": "churn", "variants": variants}

    world = SimulatedWorld()
    world.settle(desired_from(*JOBS, spec(1)))
    dead = next(c for c in world.containers if c.address.variant == "b")
    world.runtime.remove(dead.name)
    plan = world.plan(desired_from(*JOBS, spec(3)))
    drift, pending = drift_of(plan), pending_of(plan)
    assert [action.verb for action in drift] == ["start-instance", "await-healthy"]
    assert [action.verb for action in pending] == ["set-routes", "record-revision"]
    assert counts(plan)["drift"] == 2
    ids = {action.id for action in pending}
    assert all(ids.issuperset(action.after) for action in pending), "it waits for nothing that is left out"
    shown = said(plan)
    assert shown.index("changes of the specs") < shown.index("set-routes")
    assert shown.index("set-routes") < shown.index("drift: what was applied is not what is there")
    assert shown.index("drift: what") < shown.index("start-instance")
    assert "2 because of drift" in shown


def test_every_action_of_every_case_is_in_one_of_the_two() -> None:
    for name in BY_NAME:
        plan = case(name)
        drift, pending = ({action.id for action in part} for part in (drift_of(plan), pending_of(plan)))
        assert not drift & pending
        assert drift | pending == {action.id for action in plan}
        reasons = {action.id: action.cause.reason for action in plan}
        assert all(reasons[id] in (Reason.DRIFT, Reason.FOLLOWS) for id in drift), name


def test_a_plan_without_drift_says_nothing_of_it() -> None:
    assert "drift" not in said(case("new_project"))
    screen = Screen("text", out := io.StringIO(), io.StringIO())
    write_drift(screen, drift_of(case("new_project")), runtime="")
    assert out.getvalue().strip() == "no drift"


def said(plan: Plan) -> str:
    screen = Screen("text", out := io.StringIO(), io.StringIO())
    write_plan(screen, plan, runtime="")
    return out.getvalue()
