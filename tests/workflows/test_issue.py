"""publish.py: one issue while the plan is not empty."""

from __future__ import annotations

import re
from dataclasses import replace

from sagespec.errors import Problem
from tests.fakes.world import SimulatedWorld
from tests.workflows.github import Api, Runner
from tests.workflows.plans import JOBS, UNREACHABLE, endpoint, plan_in


def test_one_issue_is_opened_edited_and_closed(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    as_is = [*JOBS, endpoint(), endpoint("other")]
    runner.plans(plan_in(applied, *as_is))
    runner.run(issue="true")
    assert api.issues == []

    lost = next(c for c in applied.engine.all.values() if c.launch.address.name == "other")
    applied.runtime.remove(lost.launch.name)
    runner.plans(plan_in(applied, *as_is))
    for _ in range(2):
        runner.run(issue="true")
    assert len(api.issues) == 1
    assert api.issues[0]["title"] == "sagespec: what is running differs from the specs"
    assert "its container is gone" in api.issues[0]["body"]

    runner.sagespec(exit_code=1, errors=UNREACHABLE)
    runner.run(issue="true")
    assert "its container is gone" in api.issues[0]["body"], "not known is not clean"

    applied.engine.all[lost.launch.name] = lost
    runner.plans(plan_in(applied, *as_is))
    runner.run(issue="true")
    assert (api.issues[0]["state"], api.issues[0]["state_reason"]) == ("closed", "completed")

    applied.runtime.remove(lost.launch.name)
    runner.plans(plan_in(applied, *as_is))
    runner.run(issue="true")
    assert len(api.issues) == 2, "a closed issue stays closed"


def test_only_drift_and_what_is_held_open_an_issue(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    """A commit that was not applied is no drift."""
    ahead = [*JOBS, endpoint(weight=50), endpoint("other")]
    runner.drifts(plan_in(applied, *ahead))
    runner.run(command="drift", issue="true")
    assert api.issues == []
    assert runner.arguments[-1].startswith("drift ")

    lost = next(c for c in applied.engine.all.values() if c.launch.address.name == "other")
    applied.runtime.remove(lost.launch.name)
    runner.drifts(plan_in(applied, *ahead))
    ended = runner.run(command="drift", issue="true")
    assert ended.outcome == "success"
    (issue,) = api.issues
    assert "its container is gone" in issue["body"]
    assert "weight" not in issue["body"]

    applied.engine.all[lost.launch.name] = lost
    held = Problem("was rolled back", about="endpoint/churn")
    runner.drifts(replace(plan_in(applied, *ahead), held=(held,)))
    runner.run(command="drift", issue="true")
    assert "was rolled back" in api.issues[0]["body"]
    runner.drifts(plan_in(applied, *ahead))
    runner.run(command="drift", issue="true")
    assert api.issues[0]["state"] == "closed"


def test_an_issue_that_cannot_be_written_fails_the_job(runner: Runner, api: Api) -> None:
    api.answers = [403]
    runner.plans(plan_in(SimulatedWorld(), *JOBS))
    ended = runner.run(issue="true")
    assert ended.outcome == "failure"
    assert re.search("::error title=The issue could not be written::.*403.*`issues: write`", ended.log)
