"""`watch` tells people what changes, once, over a real hook."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.notify.test_sender import Hook
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until


@pytest.mark.slow
def test_a_repair_a_failure_and_its_end_are_told(workspace: Workspace) -> None:
    hook = Hook()
    workspace.environment = {"HOOK_URL": hook.url}
    settings = (workspace.root / "sagespec.yaml").read_text()
    (workspace.root / "sagespec.yaml").write_text(
        f"{settings}notify: [{{url: {{secret: hook}}}}]\nsecrets: {{hook: 'env:HOOK_URL'}}\n"
    )
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")

    def told(event: str) -> list[Any]:
        return [one for one in map(json.loads, hook.bodies) if one["event"] == event]

    try:
        with workspace.running("watch", "--every", "2s"):
            wait_until(lambda: bool(workspace.json("status")["runs"]))
            with workspace.project() as project:
                (name,) = (c.name for c in project.parts.runtime.containers() if c.address.kind == "endpoint")
                project.parts.runtime.remove(name)
            wait_until(lambda: bool(told("drift")), 60)
            assert told("drift")[0]["address"] == "endpoint/answers"
            workspace.write(job(1) + job(2, hyperparameters="{exit_code: 3}") + endpoint("only model@1 1"))
            wait_until(lambda: bool(told("failed")), 60)
            (failed,) = told("failed")
            assert failed["address"] == "job/model@2"
            assert failed["project"] == workspace.name
            workspace.write(job(1) + endpoint("only model@1 1"))
            wait_until(lambda: bool(told("recovered")), 60)
            assert told("recovered")[0]["was"] == "failed"

            def undelivered() -> list[Any]:
                return [one for run in workspace.json("status")["runs"] for one in run["undelivered"]]

            assert undelivered() == []
            hook.answers = [404] * 3
            workspace.run("suspend", "--reason", "moving")
            wait_until(lambda: bool(undelivered()), 60)
            (one,) = undelivered()
            assert (one["to"], one["why"], one["dropped"]) == ("hook", "answered 404", 1)
            assert "messages  to hook do not arrive since " in workspace.run("status").stdout
    finally:
        hook.server.shutdown()
        hook.server.server_close()
