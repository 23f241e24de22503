"""docs/approval.md does what it says."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sagespec.spec.project import ProjectSettings
from tests.docs.pages import ROOT, blocks
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

PAGE = ROOT / "docs" / "approval.md"


def test_its_policy_refuses_what_it_says_and_lets_the_rest_happen(workspace: Workspace) -> None:
    rules, policy = (yaml.safe_load(block) for block in blocks(PAGE, "yaml"))
    assert ProjectSettings.model_validate(rules).require.max_removals == 3
    (script,) = blocks(PAGE, "bash")
    program = workspace.root / policy["policy"]["command"][0]
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    settings = workspace.root / "sagespec.yaml"
    settings.write_text(f"{settings.read_text()}policy: {json.dumps(policy['policy'])}\n")
    workspace.write(job(1))
    workspace.write(endpoint("only model@1 1"), "specs/served.yaml")
    workspace.run("apply")

    (workspace.root / "specs" / "served.yaml").unlink()
    said = workspace.run("plan", "--prune", code=1)
    assert "this removes something: ask the platform team" in said.stdout
    workspace.run("apply", "--prune", code=1)
    assert [row["state"] for row in workspace.json("status", code=None)["endpoints"]] == ["orphaned"]

    program.write_text("#!/bin/sh\nexit 0\n")
    workspace.run("apply", "--prune")
    assert workspace.json("status")["endpoints"] == []


def test_a_plan_has_the_form_that_it_is_said_to_have(workspace: Workspace) -> None:
    schema = json.loads(Path(ROOT / "docs" / "plan.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    form = Draft202012Validator(schema)
    workspace.write(job(1) + job(2) + endpoint("only model@1 1"))
    form.validate(workspace.json("plan"))
    workspace.run("apply")
    workspace.edit("hyperparameters: {}", "hyperparameters: {a: 1}")
    workspace.edit("weight: 1", "weight: 2")
    form.validate(workspace.json("plan", code=1))
    assert not form.is_valid({"actions": [{"id": "x"}]})
