"""An approved plan is that plan alone: whatever would be done otherwise makes it another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagespec.apply.approved import AnotherPlan, approved, refuse_another, saved
from sagespec.errors import SpecError
from sagespec.plan import Plan
from sagespec.reconcile.options import Approved
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld


def planned(rounds: int = 10, *, weight: int = 90, host: str = "a") -> Plan:
    job = {"kind": "TrainingJob", "name": "churn", "version": 1, "hyperparameters": {"num_round": rounds}}
    variants: list[dict[str, Any]] = [
        {"name": "stable", "model": "churn@1", "weight": weight, "environment": {"HOST": host}},
        {"name": "other", "model": "churn@1", "weight": 10},
    ]
    endpoint = {"kind": "Endpoint", "name": "churn", "variants": variants}
    return SimulatedWorld().plan(desired_from(job, endpoint))


def test_the_same_plan_is_the_same(tmp_path: Path) -> None:
    assert planned().digest == planned().digest
    refuse_another(planned(), Approved(planned().digest))
    (tmp_path / "plan.json").write_text(saved(planned()))
    refuse_another(planned(), approved("plan.json", tmp_path))


@pytest.mark.parametrize("other", [planned(11), planned(weight=80), planned(host="b"), Plan()])
def test_a_plan_that_reads_the_same_may_be_another(other: Plan) -> None:
    if other.actions:
        assert other.text() == planned().text()
    with pytest.raises(AnotherPlan, match="the plan has changed since it was approved, so nothing was done"):
        refuse_another(other, Approved(planned().digest))


def test_of_a_saved_plan_it_is_said_line_by_line_what_is_another(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(saved(planned()))
    with pytest.raises(AnotherPlan) as raised:
        refuse_another(planned(11), approved("plan.json", tmp_path))
    first, *lines = raised.value.problems[0].why.split("\n")
    assert first == "specs or the world have changed:"
    said = [line for line in lines if "run-job" in line]
    assert [line[0] for line in said] == ["-", "+"]
    assert [line[1:].rpartition("  [")[0] for line in said] == ["run-job  job/churn@1  not trained yet"] * 2
    assert said[0][-9:] != said[1][-9:]


def test_a_saved_plan_holds_no_value_of_an_environment() -> None:
    assert "canary-of-mine" not in saved(planned(host="canary-of-mine"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "plan.json is neither the digest of a plan nor a file"),
        ("no JSON", "holds no plan"),
        ("[]", "holds no plan"),
        ("{}", "holds no plan"),
        ('{"format": 2}', "is of another release of sagespec"),
    ],
)
def test_what_approves_nothing_is_refused(tmp_path: Path, content: str | None, what: str) -> None:
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    with pytest.raises(SpecError, match=what):
        approved("plan.json", tmp_path)
