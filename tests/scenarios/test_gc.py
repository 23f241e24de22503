"""A model that was swept: its spec and its roll-back are refused with the way back, and a copy brings it back."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sagespec.records.sweeping import Sweeping
from sagespec.state.addresses import job_address
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

ROLLOUT = "{min_healthy: 0s}"


def a_week_passes(workspace: Workspace) -> None:
    sweeping = Sweeping(workspace.records())
    marks, etag = sweeping.marks()
    jobs = {j: mark.model_copy(update={"since": mark.since - timedelta(days=8)}) for j, mark in marks.jobs.items()}
    sweeping.write_marks(marks.model_copy(update={"jobs": jobs}), etag)


def states(workspace: Workspace, *words: str) -> dict[str, str]:
    return {one["job"]: one["state"] for one in workspace.json("gc", *words, "--older-than", "0")["jobs"]}


def test_what_was_swept_is_refused_until_a_copy_brings_it_back(workspace: Workspace, tmp_path: Path) -> None:
    workspace.write(job(1) + job(2) + endpoint("only model@1 1", rollout=ROLLOUT))
    workspace.run("apply")
    assert {one["state"] for one in workspace.json("gc")["jobs"]} == {"kept"}, "they ended just now"
    store = workspace.root / ".sagespec" / "store"
    shutil.copytree(store, tmp_path / "backup")

    workspace.write(endpoint("only model@1 1", rollout=ROLLOUT))
    assert states(workspace, "--mark") == {"job/model@1": "kept", "job/model@2": "marked"}
    a_week_passes(workspace)
    assert states(workspace, "--sweep") == {"job/model@1": "kept", "job/model@2": "swept"}
    assert "swept" in workspace.run("history", "model@2").stdout
    assert workspace.run("gc", "--older-than", "0").stdout.endswith("everything is needed\n")

    both = job(2) + endpoint("only model@2 1", rollout=ROLLOUT)
    workspace.write(both)
    plan = workspace.json("plan", code=1)
    (refused,) = plan["refused"]
    assert "the model of model@2 was swept by gc at" in refused["what"]
    assert "sagespec gc --restore model@2 --from MODEL.tar.gz" in refused["fix"]
    assert plan["actions"] == [], "and it is not trained again"
    with workspace.project() as project:
        assert project.invoke("answers", "x").model == "model@1"

    copy = tmp_path / "backup" / workspace.name / "jobs" / "model" / "2" / "model.tar.gz"
    workspace.run("gc", "--restore", "model@2", "--from", str(copy))
    workspace.run("apply")
    with workspace.project() as project:
        assert project.invoke("answers", "x").model == "model@2"

    (manifest,) = workspace.records().manifests([job_address("model", 1)]).values()
    Sweeping(workspace.records()).tombstone(manifest, datetime.now(UTC))
    refusal = workspace.run("rollback", "answers", code=1).stderr
    assert "revision 1 cannot be served again: the model of model@1 was swept by gc" in refusal
    assert "--restore stands alone" in workspace.run("gc", "--mark", "--restore", "model@1", code=64).stderr


def test_a_store_that_was_copied_is_the_project_in_its_new_place(workspace: Workspace, tmp_path: Path) -> None:
    """docs/operations.md: restore, or move the store."""
    workspace.write(job(1) + endpoint("only model@1 1", rollout=ROLLOUT))
    workspace.run("apply")
    shutil.copytree(workspace.root / ".sagespec" / "store", tmp_path / "moved")
    settings = workspace.root / "sagespec.yaml"
    settings.write_text(settings.read_text().replace("file://.sagespec/store", f"file://{tmp_path}/moved"))
    shutil.rmtree(workspace.root / ".sagespec" / "store")
    assert workspace.json("plan")["actions"] == []
    assert [one["job"] for one in workspace.json("lineage", "endpoint/answers")["jobs"]] == ["job/model@1"]
