"""No plan holds the value of a secret, however it is printed: the mask is put in where the value is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sagespec.causes import MASK, Change
from sagespec.errors import InternalError
from sagespec.plan import Plan
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld

JOB = {"kind": "TrainingJob", "name": "churn", "version": 1}
URL = "postgres://ada:hunter{}@db/x"


def endpoint(number: int) -> dict[str, Any]:
    variants = [{"name": "stable", "model": "churn@1", "environment": {"DB_PASSWORD": f"hunter{number}"}}]
    return {"kind": "Endpoint", "name": "churn", "variants": variants}


def job(number: int) -> dict[str, Any]:
    return JOB | {
        "environment": {"API_TOKEN": f"hunter{number}", "DATABASE": URL.format(number), "LOG_LEVEL": f"info{number}"},
        "hyperparameters": {"tracker_token": f"hunter{number}", "max_tokens": number},
    }


def everything_of(plan: Plan) -> str:
    return "\n".join([str(plan), repr(plan), plan.text(), json.dumps(plan.as_json()), *map(str, plan.refused)])


def test_a_new_and_a_changed_environment_are_in_no_plan() -> None:
    world = SimulatedWorld()
    assert "hunter" not in everything_of(world.plan(desired_from(job(1), endpoint(1))))
    world.settle(desired_from(JOB, endpoint(1)))
    plan = world.plan(desired_from(JOB, endpoint(2)))
    assert "hunter" not in everything_of(plan)
    assert "environment.DB_PASSWORD changed" in plan.text()
    variants = [endpoint(1)["variants"][0] | {"environment": {"DB_HOST": "hunter"}}]
    said = world.plan(desired_from(JOB, endpoint(1) | {"variants": variants}))
    assert "hunter" not in everything_of(said)
    assert "environment.DB_HOST added, environment.DB_PASSWORD removed" in said.text()


def test_a_refused_change_of_a_job_names_the_field_alone() -> None:
    world = SimulatedWorld()
    world.settle(desired_from(job(1)))
    plan = world.plan(desired_from(job(2)))
    assert "hunter" not in everything_of(plan)
    said = [problem.what for problem in plan.refused]
    assert "environment.API_TOKEN changed since version 1 was trained" in said
    assert "environment.LOG_LEVEL is info2, but version 1 was trained with info1" in said
    assert "hyperparameters.max_tokens is 2, but version 1 was trained with 1" in said


def test_a_failed_job_that_changed_is_run_with_its_secrets_masked() -> None:
    world = SimulatedWorld()
    first = desired_from(job(1))
    world.fail_job(first.jobs[0].address)
    world.settle(first)
    plan = world.plan(desired_from(job(2)))
    assert "hunter" not in everything_of(plan)
    assert "environment.API_TOKEN changed" in plan.text()
    assert "environment.LOG_LEVEL info1 -> info2" in plan.text()


def test_a_change_cannot_hold_a_secret_by_mistake() -> None:
    assert str(Change("environment.TOKEN", "", MASK, secret=True)) == "environment.TOKEN changed"
    with pytest.raises(InternalError):
        Change("environment.TOKEN", "hunter2", "hunter3", secret=True)
