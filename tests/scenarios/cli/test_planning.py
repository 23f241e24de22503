"""Plans as values for people and programs: saved, approved, expected."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


def test_an_approved_plan_is_applied_and_no_other(workspace: Workspace) -> None:
    workspace.write(job(1))
    workspace.run("plan", "--save", "plan.json")
    workspace.edit("version: 1", "version: 1\nenvironment: {LOG: warn}")

    refused = workspace.run("apply", "--expect", "plan.json", code=65)

    assert "the plan has changed since it was approved, so nothing was done" in refused.stderr
    assert "-run-job  job/model@1  not trained yet  [" in refused.stderr
    assert "+run-job  job/model@1  not trained yet  [" in refused.stderr
    assert workspace.json("status")["jobs"][0]["state"] == "waiting"
    digest = json.loads((workspace.root / "plan.json").read_text())["digest"]
    said = workspace.json("apply", "--expect", digest, code=65)
    assert said["error"][0]["what"].startswith("the plan has changed")

    workspace.run("plan", "--save", "plan.json")
    workspace.run("apply", "--expect", "plan.json")
    assert workspace.json("status")["jobs"][0]["state"] == "trained"


def test_a_plan_of_one_address_is_about_nothing_else_and_says_why(workspace: Workspace) -> None:
    workspace.write(job(1) + job(2) + endpoint("only model@2 1"), "specs/all.yaml")
    workspace.write("{", "specs/torn.yaml")
    found = workspace.json("plan", "answers")
    assert {action["about"].partition("#")[0] for action in found["actions"]} == {
        "gateway",
        "job/model@2",
        "endpoint/answers",
        "endpoint/answers/only",
    }
    said = workspace.run("plan", "--explain", "model@2").stdout
    assert "record  none: it has not ended" in said
    assert "run-job job/model@2  not trained yet (its spec asks for it, and it is not there)" in said
    workspace.run("plan", "nonsense", code=1)
    assert "specs are given by -f: -f specs/all.yaml" in workspace.run("plan", "specs/all.yaml", code=64).stderr
    (workspace.root / "specs" / "torn.yaml").unlink()
    workspace.run("apply")
    said = workspace.json("plan", "--explain", "answers")
    assert said["decided"] == [{"what": "nothing", "why": "what there is is what its spec asks for"}]
    assert said["found"]["live"].startswith("revision 1, hash ")
    assert said["found"]["route"] == "only 1"
    workspace.edit("weight: 1", "weight: 2")
    assert "weight of only 1 -> 2 (its spec asks for something else" in (
        workspace.run("plan", "answers", "--explain").stdout
    )


def test_the_history_says_who_ran_it_and_from_where(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    in_ci = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/models",
        "GITHUB_RUN_ID": "4711",
        "GITHUB_TRIGGERING_ACTOR": "grace",
    }
    replace(workspace, environment=in_ci).run("apply")
    found = workspace.json("history")
    (revision,), (manifest,) = found["endpoints"][0]["revisions"], found["jobs"]
    assert revision["by"] == manifest["by"]
    assert (revision["by"]["actor"], revision["by"]["command"]) == ("grace", "apply")
    assert revision["by"]["url"] == "https://github.com/acme/models/actions/runs/4711"
    said = workspace.run("history", "answers").stdout
    assert "BY" in said
    assert "grace, run 4711" in said
    assert "sagespec apply of grace on " in workspace.run("history", "model@1").stdout
