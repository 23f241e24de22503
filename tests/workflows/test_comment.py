"""publish.py: one comment on a pull request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.world import SimulatedWorld
from tests.workflows.github import FROM_A_FORK, Api, Runner
from tests.workflows.plans import JOBS, UNREACHABLE, endpoint, plan_in


def test_one_comment_is_written_then_edited_in_place(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    api.added(api.comments, {"body": "first!", "user": {"type": "User"}})
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    runner.run(comment="true")
    assert len(api.comments) == 2
    assert api.comments[1]["body"].startswith("<!-- sagespec comment  -->\n### sagespec plan: 1 to route")
    assert "weight of candidate 10 -> 30" in api.comments[1]["body"]

    runner.plans(plan_in(applied, *JOBS, endpoint(weight=40), endpoint("other")))
    runner.run(comment="true")
    assert len(api.comments) == 2
    assert "weight of candidate 10 -> 40" in api.comments[1]["body"]

    runner.plans(plan_in(applied, *JOBS, endpoint(), endpoint("other")))
    runner.run(comment="true")
    assert "nothing to do" in api.comments[1]["body"]

    runner.sagespec(exit_code=1, errors=UNREACHABLE)
    assert runner.run(comment="true").outcome == "failure"
    assert "### sagespec plan: failed" in api.comments[1]["body"]
    assert api.comments[0]["body"] == "first!"


def test_nothing_to_do_writes_no_first_comment(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    runner.plans(plan_in(applied, *JOBS, endpoint(), endpoint("other")))
    runner.run(comment="true")
    assert api.comments == []


def test_each_title_has_its_comment_and_a_copied_marker_is_left_alone(
    runner: Runner, api: Api, applied: SimulatedWorld
) -> None:
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    api.added(api.comments, {"body": "<!-- sagespec comment staging -->\nmine", "user": {"type": "User"}})
    for title in ("staging", "--> <b>", "staging"):
        runner.run(comment="true", title=title)
    assert len(api.comments) == 3
    assert api.comments[0]["body"].endswith("mine")
    assert api.comments[2]["body"].startswith("<!-- sagespec comment --%3E%20%3Cb%3E -->\n### sagespec plan (--? ?b?):")


def test_the_comment_is_found_behind_many_others(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    for number in range(230):
        api.added(api.comments, {"body": str(number)})
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    for _ in range(2):
        runner.run(comment="true")
    assert len(api.comments) == 231


def test_a_pull_request_from_a_fork_is_not_commented(tmp_path: Path, api: Api, applied: SimulatedWorld) -> None:
    runner = Runner(tmp_path / "runner", api.url, FROM_A_FORK)
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    ended = runner.run(comment="true")
    assert ended.outcome == "success"
    assert "from a fork" in ended.log
    assert api.calls == []


def test_a_push_has_no_pull_request_to_comment(tmp_path: Path, api: Api, applied: SimulatedWorld) -> None:
    runner = Runner(tmp_path / "runner", api.url, {"ref": "refs/heads/main"})
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    assert runner.run(comment="true").outcome == "success"
    assert api.calls == []


@pytest.mark.parametrize(("answers", "calls"), [([403], 1), ([502, 502, 502], 3)])
def test_a_comment_that_is_refused_does_not_fail_the_job(
    runner: Runner, api: Api, applied: SimulatedWorld, answers: list[int], calls: int
) -> None:
    api.answers = answers
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    ended = runner.run(comment="true")
    assert ended.outcome == "success"
    assert "::warning title=No comment on the pull request::" in ended.log
    assert len(api.calls) == calls


def test_a_passing_error_of_the_api_is_waited_out(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    api.answers = [502, 503]
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    runner.run(comment="true")
    assert len(api.comments) == 1
