"""Rollouts with real containers, a real gateway and real requests: shares, take-back, and no request lost."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import pytest

from sagespec.state.revision import RevisionStatus
from sagespec.state.rollout import Ending
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_rollout_under_load import RATE, load_on
from tests.scenarios.workspace import Workspace

QUICK = "min_healthy: 300ms, drain_within: 5s"
CANARY = f"{{strategy: canary, size: 10%, wait: 6s, bake: 3s, {QUICK}}}"


def spec(env: str = "", *, rollout: str = CANARY, instances: int = 1) -> str:
    """One variant; env: of its containers, another of which needs others."""
    return job(1) + endpoint(f"only model@1 1 instances: {instances}, environment: {{{env}}}", rollout=rollout)


def apply(workspace: Workspace, text: str) -> Any:
    workspace.write(text)
    with workspace.project() as project:
        return project.apply(check=False)


def test_a_canary_gets_its_share_and_then_everything_and_no_request_fails(workspace: Workspace) -> None:
    assert apply(workspace, spec()).ok
    result: dict[str, Any] = {}
    with load_on(workspace, result):
        begun = time.monotonic()
        done = apply(workspace, spec("A: b"))
        took = time.monotonic() - begun
    assert done.ok, (done.plan.text(), done.plan.refused, done.failures)
    assert took >= 9
    assert result["errors"] == {}
    assert set(result["statuses"]) == {"200"}, result
    (_, live) = workspace.records().history("answers")
    end = live.rollout
    assert end
    assert (live.status, end.ending, end.steps) == (RevisionStatus.LIVE, Ending.LIVE, 2)
    assert end.candidate.requests
    assert end.live.requests
    assert len(workspace.containers()) == 2


def test_a_model_that_always_fails_is_taken_back_at_once(workspace: Workspace) -> None:
    assert apply(workspace, spec()).ok
    before = workspace.names()
    result: dict[str, Any] = {}
    with load_on(workspace, result):
        done = apply(workspace, spec("ECHO_FAILS: '1'"))
    assert not done.ok
    assert "taken back: errors 100.00 %" in done.problems[0].what
    assert workspace.names() == before  # never stopped
    failed = workspace.records().history("answers")[-1]
    assert failed.status is RevisionStatus.FAILED
    assert failed.rollout
    assert failed.rollout.ending is Ending.TAKEN_BACK
    assert result["errors"] == {}
    assert result["statuses"].get("500", 0) <= 0.15 * RATE * 3  # its share of what came in three seconds
    again = apply(workspace, spec("ECHO_FAILS: '1'"))
    assert not again.ok
    assert not again.outcomes


def test_nobody_asks_and_it_says_so(workspace: Workspace) -> None:
    assert apply(workspace, spec()).ok
    assert apply(workspace, spec("A: b", rollout=CANARY.replace("6s", "1s").replace("bake: 3s", "bake: 1s"))).ok
    end = workspace.records().history("answers")[-1].rollout
    assert end
    assert end.why == "no requests seen"


@pytest.mark.slow
def test_the_share_of_a_step_is_that_of_the_requests(workspace: Workspace) -> None:
    assert apply(workspace, spec(instances=2)).ok
    rollout = CANARY.replace("6s", "1h")
    workspace.write(spec("A: b", rollout=rollout, instances=2))
    with workspace.running("apply") as _, workspace.project() as project:
        while not workspace.rollouts():
            time.sleep(0.2)
        seen: Counter[str] = Counter()
        for _ in range(2000):
            answer = project.invoke("answers", b"1,2", content_type="text/csv")
            assert answer.variant == "only"
            seen[json.loads(answer.body)["env"].get("A", "")] += 1
    assert abs(seen["b"] / 2000 - 0.1) < 0.035  # five standard deviations
