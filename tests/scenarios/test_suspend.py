"""Suspended and resumed from the command line, beside an apply, a plan, a status and a roll-back."""

from __future__ import annotations

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

JOBS = job(1) + job(2)


@pytest.mark.slow
def test_nobody_changes_what_is_suspended_but_by_a_command_of_its_own(workspace: Workspace) -> None:
    workspace.write(JOBS + endpoint("only model@1 1"))
    workspace.run("apply")
    workspace.write(JOBS + endpoint("only model@2 1"))
    workspace.run("apply")

    assert "Missing option '--reason'" in workspace.run("suspend", "answers", code=64).stderr
    assert "a suspension needs a reason" in workspace.run("suspend", "answers", "--reason", " ", code=1).stderr
    soon = workspace.run("suspend", "answers", "--reason", "x", "--until", "soon", code=64).stderr
    assert '"soon" is not a duration; a time is written' in soon
    assert "did you mean" in workspace.run("suspend", "anwsers", "--reason", "x", code=1).stderr
    found = workspace.json("suspend", "answers", "--reason", "odd figures", "--until", "2h")["suspended"]
    assert (found["about"], found["reason"]) == ("endpoint/answers", "odd figures")
    assert found["until"] > found["since"]

    workspace.write(JOBS + endpoint("only model@2 1", "more model@1 1"))
    plan = workspace.json("plan")
    assert plan["actions"] == []
    (held,) = plan["suspended"]
    assert "start-instance" in [one["action"] for one in held["held_back"]]
    refused = workspace.run("apply", code=1)
    for words in ("suspended by ", "odd figures", "start-instance: ", "not up to date: 1 suspended"):
        assert words in refused.stdout
    assert workspace.json("apply", code=1)["suspended"] == [held]
    assert "odd figures" in workspace.run("status").stdout
    (state,) = workspace.json("status")["endpoints"]
    assert "odd figures" in state["detail"]
    assert "is suspended" not in workspace.run("rollback", "answers", "--reason", "worse").stdout
    assert workspace.json("status")["endpoints"][0]["revision"] == 3

    assert "odd figures" in workspace.run("destroy", "--yes", code=1).stderr
    assert "job/model@1 is not suspended" in workspace.run("resume", "job/model@1", code=1).stderr
    assert "what is suspended: endpoint/answers" in workspace.run("resume", code=1).stderr
    assert workspace.json("resume", "answers")["resumed"]["reason"] == "odd figures"
    workspace.run("apply")
    assert len(workspace.json("status")["endpoints"][0]["variants"]) == 2
