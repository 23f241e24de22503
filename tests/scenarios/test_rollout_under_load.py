"""Changes of model, weights and scale while requests keep coming: not one of them fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import built
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

LOAD = Path(__file__).with_name("load.py")
RATE = 300.0
CHANGES = 10
JOBS = "".join(
    job(version, algorithm="linear-learner", hyperparameters=f"{{predictor_type: regressor, epochs: {version}}}")
    for version in (1, 2)
)


@contextmanager
def load_on(workspace: Workspace, result: dict[str, Any]) -> Iterator[None]:
    """Requests at RATE for the block; what became of them goes into `result`."""
    path = "/endpoints/answers/invocations"
    words = [sys.executable, str(LOAD), "127.0.0.1", str(workspace.port), path, str(RATE), "6"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write("0.5,0.25\n")
    process.stdin.flush()
    try:
        yield
        said, _ = process.communicate("stop\n", timeout=60)
        result.update(json.loads(said))
    finally:
        process.kill()
        process.wait()


def assert_none_failed(result: dict[str, Any]) -> None:
    assert result["errors"] == {}
    assert set(result["statuses"]) == {"200"}, result
    assert result["rate"] >= RATE / 2, f"the load was too light to prove anything: {result}"


def regressor_data(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready("linear-learner")
    lines = [f"{0.3 * a + 0.1 * b:.3f},{a},{b}" for a in range(8) for b in range(8)]
    (workspace.root / "data" / "train.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_ten_changes_of_model_lose_no_request(workspace: Workspace) -> None:
    regressor_data(workspace)
    workspace.write(JOBS + endpoint("only model@1 1"))
    result: dict[str, Any] = {}
    with workspace.project() as project:
        assert project.apply().ok
        with load_on(workspace, result):
            for number in range(CHANGES):
                workspace.write(JOBS + endpoint(f"only model@{1 + (number + 1) % 2} 1"))
                changed = project.apply()
                assert changed.ok, (changed.failures, changed.plan.refused)
                assert any(outcome.verb == "remove-instance" for outcome in changed.outcomes)
        assert len(project.parts.runtime.containers()) == 2
    assert_none_failed(result)


@pytest.mark.slow
def test_scaling_weights_and_a_killed_instance_lose_no_request(workspace: Workspace) -> None:
    regressor_data(workspace)
    two = "instances: 2"
    shapes = [
        endpoint(f"stable model@1 90 {two}", "candidate model@2 10"),
        endpoint(f"stable model@1 10 {two}", "candidate model@2 90"),
        endpoint("stable model@1 50", f"candidate model@2 50 {two}"),
        endpoint(f"stable model@1 50 {two}"),
    ]
    workspace.write(JOBS + shapes[0])
    result: dict[str, Any] = {}
    with workspace.project() as project:
        assert project.apply().ok
        with load_on(workspace, result):
            for shape in shapes[1:]:
                workspace.write(JOBS + shape)
                assert project.apply().ok
            victim = next(c for c in project.parts.runtime.containers() if c.address.instance == 1)
            project.parts.runtime.stop(victim.name, grace_seconds=10)
            project.parts.runtime.remove(victim.name)
            assert project.apply().ok
            wait_until(lambda: len(project.parts.runtime.containers()) == 3)
    assert_none_failed(result)
