"""A model is trained once more and given traffic by edits of the specs; a gate holds one that is worse."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

GATE = '{min_healthy: 300ms, gate: {metric: "echo:value", worse_than_live_by_at_most: 0.1}}'


def served(workspace: Workspace) -> tuple[str, str, list[Any]]:
    """State and detail of the endpoint, and the models that answer."""
    (found,) = workspace.json("status")["endpoints"]
    return found["state"], found["detail"], [variant["model"] for variant in found["variants"]]


@pytest.mark.slow
def test_a_worse_model_that_was_merged_gets_no_traffic_until_the_gate_lets_it(workspace: Workspace) -> None:
    specs = job(1, hyperparameters="{lines: 9}   # the last line says 0.8") + endpoint(
        "stable model@1 90", rollout=GATE
    )
    workspace.write(specs)
    workspace.run("apply")

    written = workspace.json("bump", "model", "--set", "hyperparameters.lines=5")
    assert [setting["new"] for setting in written["settings"]] == ["2", "5"]
    workspace.run("assign", "model@2", "answers/stable")
    edited = specs.replace("version: 1", "version: 2").replace("{lines: 9}", "{lines: 5}").replace("model@1", "model@2")
    assert (workspace.root / "specs/all.yaml").read_text() == edited

    said = workspace.run("apply", code=1)
    held = "variant stable, model@2: echo:value 0.4 is worse than 0.8 of model@1, which is live"
    assert f"is held by its gate: {held}" in said.stdout + said.stderr
    state, detail, models = served(workspace)
    assert (state, models) == ("blocked", ["model@1"])
    assert held in detail

    workspace.edit("at_most: 0.1", "at_most: 0.4")
    workspace.run("apply")
    assert served(workspace)[::2] == ("serving", ["model@2"])
