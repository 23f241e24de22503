"""Every field of an endpoint does what its update class promises: each is changed once, and the plan is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from sagespec.spec.document import Update, update_class
from sagespec.spec.endpoint import Endpoint, Variant
from sagespec.spec.limits import Limits
from sagespec.spec.rollout import Rollout
from sagespec.spec.split import Split
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld

JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]
OF_A_JOB = {"name": "stable", "model": "churn@1", "instances": 2}
OF_AN_ARCHIVE = {"name": "stable", "model": "s3://acme/model.tar.gz", "algorithm": "xgboost", "instances": 2}
OTHER = {"name": "other", "model": "churn@1"}  # beside it, so that a weight means something

VARIANT_CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "name": (OF_A_JOB, {"name": "renamed"}),
    "model": (OF_A_JOB, {"model": "churn@2"}),
    "weight": (OF_A_JOB, {"weight": 3.0}),
    "instances": (OF_A_JOB, {"instances": 3}),
    "algorithm": (OF_AN_ARCHIVE, {"algorithm": "linear-learner"}),
    "framework": (OF_AN_ARCHIVE, {"algorithm": None, "framework": "sklearn"}),
    "image": (OF_A_JOB, {"image": "acme/serving:1"}),
    "entry_point": (OF_A_JOB, {"entry_point": "inference.py"}),
    "environment": (OF_A_JOB, {"environment": {"A": "b"}}),
    "accelerate": (OF_AN_ARCHIVE, {"accelerate": "onnx"}),
    "resources": (OF_A_JOB, {"resources": {"cpus": 2.0}}),
}
ROLLOUT_CHANGES = {
    "strategy": "linear",
    "size": "20%",
    "wait": 60.0,
    "bake": 60.0,
    "timeout": "2h",
    "abort_when": [{"errors": "> 2%", "requests": 100}],
    "no_requests": "hold",
    "healthy_within": 60.0,
    "min_healthy": 2.0,
    "drain_within": 5.0,
    "replace": "always",
    "gate": {"metric": "auc", "min": 0.5},
}
IN_NO_RECORD = {"gate"}
ENDPOINT_CHANGES = {"protect": True}

DEEDS = {
    Update.REPLACE: {
        "start-instance",
        "await-healthy",
        "set-routes",
        "record-revision",
        "drain-instance",
        "remove-instance",
    },
    Update.SCALE: {"start-instance", "await-healthy", "set-routes", "record-revision"},
    Update.ROUTE: {"set-routes", "record-revision"},
    Update.NONE: {"record-revision"},
}


def endpoint(variant: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"kind": "Endpoint", "name": "churn", "variants": [variant, OTHER], **fields}


def deeds(before: dict[str, Any], after: dict[str, Any]) -> tuple[set[str], int]:
    """The verbs of the plan that leads from one spec to the other, and how many containers it starts."""
    world = SimulatedWorld()
    world.settle(desired_from(*JOBS, before))
    actions = world.plan(desired_from(*JOBS, after)).actions
    return {action.verb for action in actions}, sum(action.verb == "start-instance" for action in actions)


@pytest.mark.parametrize("field", Variant.model_fields)
def test_a_field_of_a_variant_does_what_its_class_says(field: str) -> None:
    variant, change = VARIANT_CHANGES[field]
    update = update_class(Variant, field)
    verbs, starts = deeds(endpoint(variant), endpoint(variant | change))
    assert verbs == DEEDS[update]
    assert starts == {Update.REPLACE: 2, Update.SCALE: 1}.get(update, 0)


@pytest.mark.parametrize("field", Rollout.model_fields)
def test_a_field_of_the_rollout_does_what_its_class_says(field: str) -> None:
    rollout = {} if field == "replace" else {"strategy": "canary", "timeout": "1h"}  # new containers take steps there
    after = rollout | {field: ROLLOUT_CHANGES[field]}
    verbs, _ = deeds(endpoint(OF_A_JOB, rollout=rollout), endpoint(OF_A_JOB, rollout=after))
    assert verbs == (set() if field in IN_NO_RECORD else DEEDS[update_class(Rollout, field)])


def test_a_key_touches_the_routes_alone() -> None:
    verbs, starts = deeds(endpoint(OF_A_JOB), endpoint(OF_A_JOB, split={"key": "header x-user"}))
    assert (verbs, starts) == (DEEDS[update_class(Split, "key")], 0)


def test_lending_touches_the_routes_alone() -> None:
    verbs, starts = deeds(endpoint(OF_A_JOB), endpoint(OF_A_JOB, when_down="spread"))
    assert (verbs, starts) == (DEEDS[update_class(Endpoint, "when_down")], 0)


@pytest.mark.parametrize("field", ["concurrency", "queue"])
def test_limits_touch_the_routes_alone(field: str) -> None:
    before = endpoint(OF_A_JOB, limits={"concurrency": 4})
    verbs, starts = deeds(before, endpoint(OF_A_JOB, limits={"concurrency": 4, field: 7}))
    assert (verbs, starts) == (DEEDS[update_class(Limits, field)], 0)


def test_protection_touches_nothing_that_runs() -> None:
    verbs, _ = deeds(endpoint(OF_A_JOB), endpoint(OF_A_JOB, protect=True))
    assert verbs == DEEDS[update_class(Endpoint, "protect")]


def test_fewer_instances_remove_some_and_replace_none() -> None:
    verbs, starts = deeds(endpoint(OF_A_JOB), endpoint(OF_A_JOB | {"instances": 1}))
    assert verbs == {"set-routes", "record-revision", "drain-instance", "remove-instance"}
    assert starts == 0
