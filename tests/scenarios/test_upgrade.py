"""After an upgrade with other images: what serves stays as it is, one image a variant, until it is restarted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sagespec.project import Project
from sagespec.runtimes.choose import images_dir
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_rollout_under_load import load_on
from tests.scenarios.workspace import Workspace


def upgrade(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From here on, this process is a release whose images are others."""
    shutil.copytree(images_dir(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("echo", "gateway"):
        (folder / name / "NEWS").write_text("of the next release\n")
    for module in ("sagespec.runtimes.choose", "sagespec.parts"):
        monkeypatch.setattr(f"{module}.images_dir", lambda: folder)


def images(project: Project) -> set[str]:
    return {c.image for c in project.parts.runtime.containers() if c.address.kind == "endpoint"}


def test_one_image_a_variant_until_a_restart_that_loses_no_request(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    with workspace.project() as project:
        assert project.apply().ok
        old = images(project)
    upgrade(monkeypatch, tmp_path / "images")
    with workspace.project() as project:
        plan = project.plan()
        assert not plan.actions
        assert [note.partition(" runs ")[0] for note in plan.notes] == ["gateway", "endpoint/answers only"]
        workspace.write(job(1) + endpoint("only model@1 1 instances: 2"))
        assert project.apply().ok
        scaled = images(project)
        # Docker keeps the image; the programs of the earlier release are gone from this machine.
        assert len(scaled) == 1
        assert (scaled == old) is (workspace.runtime == "docker")

        result: dict[str, Any] = {}
        with load_on(workspace, result):
            restarted = project.restart("answers", reason="a fix in the image")
            assert restarted.ok, restarted
        assert result["errors"] == {}
        assert set(result["statuses"]) == {"200"}
        assert len(images(project)) == 1
        assert images(project) != old
        assert project.history("answers")[-1].reason == "restarted: a fix in the image"
        assert not project.plan().actions
        assert [note.partition(" runs ")[0] for note in project.plan().notes] == ["gateway"]

        assert project.restart("gateway").ok
        assert project.plan().notes == ()
        assert project.invoke("answers", b"x").status == 200


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
def test_the_command_beside_a_watch(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 90", "other model@1 10"))
    workspace.run("apply")
    before = workspace.names()
    with workspace.running("watch", "--every", "1s"):
        result = workspace.json("restart", "answers/other", "--reason", "why not")
        assert result["ok"], result
        assert workspace.json("restart", "gateway")["ok"]
    after = workspace.names()
    assert before["endpoint/answers/only#0"] == after["endpoint/answers/only#0"]
    assert before["endpoint/answers/other#0"] != after["endpoint/answers/other#0"]
    (history,) = workspace.json("history", "answers")["endpoints"]
    assert [(r["status"], r["reason"]) for r in history["revisions"]] == [
        ("superseded", ""),
        ("live", "restarted: why not"),
    ]
    assert workspace.json("apply")["outcomes"] == []
    assert workspace.invoke("answers", "x")[0] == 200
    for name, part in (("nothing", "is not live"), ("answers", "has no variant")):
        refused = workspace.run("restart", name, "--variant", "none", code=1)
        assert part in refused.stderr
