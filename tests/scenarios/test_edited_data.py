"""Data that was edited after a job has failed: the job runs again, from the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.servers import s3_server
from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace

only_processes = pytest.mark.parametrize("workspace", ["process"], indirect=True)
FAILING = job(1, hyperparameters="{epochs: 2, epoch_seconds: 0, exit_code: 3}") + "checkpoints: true\n"


def runs_again(workspace: Workspace) -> str:
    """Why, as the plan says; '' if it does not. Then it is applied, and has failed again."""
    plan = workspace.json("plan", code=None)
    workspace.run("apply", code=1)
    if not plan["actions"]:
        return ""
    (action,) = plan["actions"]
    assert action["id"] == "run-job job/model@1"
    return str(action["cause"]["changes"][0]["field"])


@only_processes
def test_a_failed_job_runs_again_with_edited_files(workspace: Workspace) -> None:
    workspace.write(FAILING)
    workspace.run("apply", code=1)
    (problem,) = workspace.json("plan", code=None)["refused"]
    assert problem["fix"].startswith("correct the code, the data or the spec")
    assert runs_again(workspace) == ""
    (workspace.root / "data/train.csv").write_text("1,0.5,0.25\n0,0.1,0.8\n")
    (row,) = workspace.json("status")["jobs"]
    assert row["detail"].startswith("runs again at the next apply: data of channel train ")
    assert runs_again(workspace) == "data of channel train"
    assert "epoch=1" in workspace.run("logs", "model@1").stdout, "not from the checkpoints of other data"
    assert runs_again(workspace) == ""
    (row,) = workspace.json("status")["jobs"]
    assert "exited with code 3" in row["detail"]


@only_processes
@pytest.mark.s3
def test_a_failed_job_runs_again_with_edited_objects(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server("rclone", folder=workspace.root / "s3") as server:
        server.activate(monkeypatch)
        file = Path(workspace.root / "s3/acme/in/a.csv")
        file.parent.mkdir(parents=True)
        file.write_text("1,2\n")
        workspace.write(FAILING.replace("../data/train.csv", f"{server.uri}/in/"))
        workspace.run("apply", code=1)
        file.write_text("1,3\n")
        assert runs_again(workspace) == "data of channel train"
        assert runs_again(workspace) == ""
