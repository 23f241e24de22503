"""A model gets traffic only when it was measured and is good enough, whoever merged it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sagespec.spec.gate import Gate
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import measured

JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]


def serving(model: str, **gate: Any) -> dict[str, Any]:
    rollout = {"gate": {"metric": "auc", **gate}} if gate else {}
    return {"kind": "Endpoint", "name": "churn", "variants": [{"name": "v", "model": model}], "rollout": rollout}


def test_a_model_that_turns_out_not_to_be_measured_is_held_once_it_is_trained() -> None:
    world = SimulatedWorld()
    world.settle(desired_from(JOBS[0], serving("churn@1")))
    plan = world.settle(desired_from(*JOBS, serving("churn@2", min=0.5)))
    assert not plan.actions
    assert "is held by its gate: variant v, churn@2: auc was not measured" in plan.refused[0].what
    assert {world.models[n] for t in world.routes["churn"].targets for n in t.instances} == {"churn@1"}
    changed = world.settle(desired_from(*JOBS, serving("churn@2")))  # in a reviewed commit, say
    assert not changed.refused
    assert {world.models[n] for t in world.routes["churn"].targets for n in t.instances} == {"churn@2"}


def test_a_gate_is_in_no_hash_and_in_no_record() -> None:
    with_gate, without = (desired_from(*JOBS, serving("churn@1", **gate)).endpoints[0] for gate in ({"min": 1}, {}))
    assert with_gate.hash == without.hash
    assert with_gate.record.as_json() == without.record.as_json()


@pytest.mark.parametrize(
    "fields",
    [{}, {"min": 1, "max": 2}, {"min": 1, "objective": "minimize"}, {"max": 1, "objective": "maximize"}],
    ids=str,
)
def test_a_gate_that_says_nothing_or_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gate.model_validate({"metric": "auc", **fields})


def test_what_is_no_number_never_passes() -> None:
    nan = float("nan")
    assert Gate(metric="auc", min=0.5).objection(nan)
    assert Gate(metric="auc", worse_than_live_by_at_most=1).objection(nan)
    assert Gate(metric="auc", worse_than_live_by_at_most=1).is_too_much_worse(0.5, nan)


def test_a_rollout_that_has_begun_is_not_judged_again() -> None:
    world = SimulatedWorld()
    canary = {"strategy": "canary", "wait": 300, "bake": 0}
    before, after = serving("churn@1"), serving("churn@2", min=0.5)
    after["rollout"] |= canary
    world.settle(desired_from(*JOBS, before))
    measured(world, "job/churn@2 auc 0.4")
    assert "auc 0.4 is below the least, 0.5" in world.plan(desired_from(*JOBS, after)).refused[0].what
    measured(world, "job/churn@2 auc 0.6")
    world.settle(desired_from(*JOBS, after))
    assert world.records_of_rollouts, "its candidate has a part of the traffic"
    stricter = {**after, "rollout": {**after["rollout"], "gate": {"metric": "auc", "min": 0.9}}}
    plan = world.plan(desired_from(*JOBS, stricter))
    assert plan.rolling
    assert not plan.refused
