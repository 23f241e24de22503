"""A model that was trained elsewhere: it serves, nothing trains it again, and nothing is overwritten by it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


@pytest.fixture
def archive(workspace: Workspace) -> Path:
    """What another project has trained."""
    elsewhere = Workspace(workspace.root.parent / "elsewhere", f"{workspace.name}-x", "process", port=free_port())
    elsewhere.write(job(1))
    elsewhere.run("apply")
    (found,) = (elsewhere.root / ".sagespec" / "store").rglob("model.tar.gz")
    return found


def test_an_imported_model_serves_and_is_never_overwritten(workspace: Workspace, archive: Path) -> None:
    (workspace.root / "model.tar.gz").write_bytes(archive.read_bytes())
    words = ("import", "model.tar.gz", "--as", "model@1")
    assert "nothing says what serves its model" in workspace.run(*words, code=1).stderr
    said = workspace.json(*words, "--algorithm", "echo", "--metric", "validation:auc=0.797")
    assert said["imported"] == "job/model@1"

    workspace.write(endpoint("only model@1 1"))
    workspace.run("apply")
    with workspace.project() as project:
        assert project.invoke("answers", "1,2").ok
    found = workspace.json("history", "model@1")["jobs"][0]
    assert found["imported_from"] == str(workspace.root / "model.tar.gz")
    assert f"imported  from {workspace.root / 'model.tar.gz'}, by " in workspace.run("lineage", "model@1").stdout
    assert (found["metrics"], found["by"]["command"]) == ({"validation:auc": 0.797}, "import")
    assert "job/model@1 is in the store already" in workspace.run(*words, "--algorithm", "echo", code=1).stderr
    assert workspace.json("plan")["actions"] == []


def test_a_model_of_a_version_that_has_a_spec_is_not_trained_again(workspace: Workspace, archive: Path) -> None:
    workspace.write(job(1, hyperparameters="{depth: 3}"))
    refused = workspace.run("import", str(archive), "--as", "model@1", "--algorithm", "xgboost", code=1)
    assert "the spec of job/model@1 does not say algorithm: xgboost" in refused.stderr
    assert [one["action"] for one in workspace.json("plan")["actions"]] == ["run-job"]
    workspace.run("import", str(archive), "--as", "model@1")
    assert workspace.json("plan")["unchanged"] == ["job/model@1"]
    workspace.edit("depth: 3", "depth: 4")
    assert "hyperparameters.depth is 4, but version 1 was trained with 3" in workspace.run("plan", code=1).stdout


def test_what_is_no_model_is_refused(workspace: Workspace) -> None:
    workspace.write(job(1))
    (workspace.root / "torn.tar.gz").write_bytes(b"\x1f\x8b torn")
    (workspace.root / "text.tar.gz").write_text("text")
    for name, why in (
        ("torn.tar.gz", "torn.tar.gz"),
        ("text.tar.gz", "is not a .tar.gz file"),
        ("no.tar.gz", "no file"),
    ):
        said = workspace.run("import", name, "--as", "model@1", code=1).stderr
        assert why in said
        assert "Traceback" not in said
    assert "is not the version of a job" in workspace.run("import", "text.tar.gz", "--as", "model", code=1).stderr
    assert workspace.json("plan")["actions"][0]["action"] == "run-job"


def imported(source: str, more: str = "") -> str:
    return (
        "---\napiVersion: sagespec/v1\nkind: TrainingJob\nname: model\nversion: 1\nalgorithm: echo\n"
        f"imported_from: {{source: {source}, metrics: {{validation:auc: 0.797}}}}\n{more}"
    )


def test_an_import_is_planned_and_done_once_whatever_kills_it(workspace: Workspace, archive: Path) -> None:
    """Complaint 28: it is in the plan, with what is imported, and never overwrites."""
    shutil.copy(archive, workspace.root / "model.tar.gz")
    workspace.write(imported("../model.tar.gz"))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    first = workspace.run("plan").stdout.splitlines()
    said = next(line.split() for line in first if "import" in line.split())
    assert said[:2] == ["import", "job/model@1"]
    assert f"from model.tar.gz: {archive.stat().st_size:,} bytes, sha256 {sha256[:12]}" in " ".join(said)

    driver = Path(__file__).parents[1] / "killed_apply.py"
    for die_at in ("1", "2"):
        killed = subprocess.run([sys.executable, str(driver), str(workspace.root), die_at], check=False)
        assert killed.returncode == -9
        assert [one["action"] for one in workspace.json("plan")["actions"]] == ["import"]
    workspace.write(imported("../model.tar.gz") + endpoint("only model@1 1"))
    workspace.run("apply")
    found = workspace.json("history", "model@1")["jobs"][0]
    assert (found["imported_from"], found["metrics"]) == ("model.tar.gz", {"validation:auc": 0.797})
    assert found["artifacts"]["model"]["sha256"] == sha256
    with workspace.project() as project:
        assert project.invoke("answers", "1,2").ok

    (workspace.root / "model.tar.gz").unlink()
    assert workspace.json("plan")["actions"] == [], "it is in the store, so nobody needs the file any more"
    workspace.edit("../model.tar.gz", "../other.tar.gz")
    assert "imported_from is other.tar.gz, but version 1 was trained with model.tar.gz" in (
        workspace.run("plan", code=1).stdout
    )


def test_what_cannot_be_imported_is_refused_at_its_line(workspace: Workspace, archive: Path) -> None:
    workspace.write(imported("../model.tar.gz"))
    assert 'imported_from.source: "../model.tar.gz" does not exist' in workspace.run("plan", code=1).stderr
    (workspace.root / "model.tar.gz").write_text("text")
    assert "is not a .tar.gz file" in workspace.run("apply", code=1).stdout
    shutil.copy(archive, workspace.root / "model.tar.gz")
    other = workspace.run("import", "model.tar.gz", "--as", "model@1", code=1).stderr
    assert "the spec of job/model@1 says where its model is imported from" in other
    assert "was imported, so there is no training to repeat" in workspace.run("bump", "model", code=1).stderr
    workspace.write(imported("../model.tar.gz", 'retrain: {schedule: "0 3 * * 1"}\n'))
    assert "does not go with imported_from" in workspace.run("validate", code=1).stderr
