"""The policy's program: real ones, asked about real plans. What it does not allow is left out; all else stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.apply.policy import NOT_ASKED, Judge
from sagespec.causes import Cause, Reason
from sagespec.errors import Problem
from sagespec.plan import Plan, StartGateway
from sagespec.spec.rules import Policy
from sagespec.state.addresses import GATEWAY
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld

REPAIR = StartGateway(about=GATEWAY, cause=Cause(Reason.DRIFT, note="gateway does not answer"))


def planned(weight: int = 1) -> Plan:
    job = {"kind": "TrainingJob", "name": "churn", "version": 1}
    endpoint = {"kind": "Endpoint", "name": "churn", "variants": [{"name": "a", "model": "churn@1", "weight": weight}]}
    return SimulatedWorld().plan(desired_from(job, endpoint))


class Asked:
    """A policy in a folder of its own, and what it was asked."""

    def __init__(self, folder: Path, script: str, timeout: float = 20.0) -> None:
        program = folder / "policy.sh"
        program.write_text(f"#!/bin/sh\necho asked >>asked\n{script}\n")
        program.chmod(0o755)
        self.folder = folder
        self.judge = Judge(lambda: Policy(command=("./policy.sh",), timeout=timeout), folder)

    @property
    def times(self) -> int:
        return len((self.folder / "asked").read_text().splitlines())

    def problem(self) -> Problem:
        (problem,) = self.judge.judged(planned()).refused
        assert (problem.what, problem.about) == ("the policy does not allow this plan", "project")
        return problem


def test_a_plan_is_asked_about_once_and_allowed_by_exit_code_alone(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "cat >plan.json\necho 'Error: 0 failures, 1 error'")
    plan = planned()
    assert asked.judge.judged(plan) == plan
    assert json.loads((tmp_path / "plan.json").read_text()) == plan.as_json()
    assert asked.judge.judged(planned()) == plan
    assert asked.times == 1
    asked.judge.judged(planned(2))
    assert asked.times == 2


def test_what_is_refused_is_not_done_with_what_it_prints_as_the_reason(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "echo 'no training on Fridays'\necho 'see the wiki' >&2\nexit 3")
    assert asked.problem().why == "no training on Fridays\nsee the wiki"
    assert asked.judge.judged(planned()).actions == ()


def test_repairs_are_not_held_up(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "exit 1")
    found = asked.judge.judged(replace(planned(), actions=(REPAIR, *planned().actions[1:])))
    assert found.actions == (REPAIR,)
    assert asked.judge.judged(Plan((REPAIR,))) == Plan((REPAIR,))
    assert asked.times == 1


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 7", "./policy.sh ended with 7, and said nothing"),
        ("kill -9 $$", "./policy.sh ended with -9, and said nothing"),
        ("sleep 60", "./policy.sh did not end within 0.5 s"),
    ],
)
def test_what_cannot_be_decided_is_not_allowed(tmp_path: Path, script: str, why: str) -> None:
    assert Asked(tmp_path, script, timeout=0.5 if "sleep" in script else 20.0).problem().why == why


def test_a_program_that_is_not_there_allows_nothing(tmp_path: Path) -> None:
    judge = Judge(lambda: Policy(command=("./nowhere",)), tmp_path)
    (problem,) = judge.judged(planned()).refused
    assert problem.why == "./nowhere cannot be started: No such file or directory"


def test_a_plan_that_it_was_not_asked_about_is_not_done_under_the_lock(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "exit 0")
    assert asked.judge.judged(planned(), may_ask=False).refused == (NOT_ASKED,)
    assert not (tmp_path / "asked").exists()


def test_without_a_policy_everything_is_allowed(tmp_path: Path) -> None:
    assert Judge(lambda: None, tmp_path).judged(planned()) == planned()
