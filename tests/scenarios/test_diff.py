"""What changed from one version of a job to the next: fields, lines of code, objects of data, metrics."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.scenarios.workspace import Workspace

TRAIN = """\
import os, pathlib
print("score=%s;")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model").write_text("m")
"""
SPEC = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: script
version: %d
framework: sklearn
source_dir: ../src
entry_point: train.py
hyperparameters: {depth: %d}
environment: {API_KEY: abc%d}
channels: {train: ../data}
metrics: [{name: score, regex: "score=(.*?);"}]
---
apiVersion: sagespec/v1
kind: Model
name: script
aliases: {latest: 2}
"""


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, check=True)


def trained(workspace: Workspace, version: int, score: str) -> None:
    (workspace.root / "src").mkdir(exist_ok=True)
    workspace.write(TRAIN % score, "src/train.py")
    workspace.write(SPEC % (version, version, version))
    git(workspace.root, "add", "-A")
    git(workspace.root, "commit", "-q", "-m", "next")
    workspace.run("apply")


@pytest.fixture
def workspace(tmp_path: Path, project_name: str, evidence: Path) -> Workspace:
    """On one runtime: records are the same on every engine, and scikit-learn's image takes long to build."""
    return Workspace(tmp_path / "project", project_name, "process")


def test_two_versions_differ_in_fields_code_data_and_metrics(workspace: Workspace) -> None:
    workspace.write(".sagespec\n", ".gitignore")
    git(workspace.root, "init", "-q")
    trained(workspace, 1, "0.5")
    workspace.write("1,0.5,0.25\n", "data/more.csv")
    workspace.write("0,0.1,0.9\n", "data/train.csv")
    trained(workspace, 2, "0.75")

    found = workspace.json("diff", "script@1", "script@latest")
    assert found["jobs"] == ["job/script@1", "job/script@2"]
    assert found["fields"] == [
        {"field": "environment.API_KEY", "old": "", "new": "changed"},
        {"field": "hyperparameters.depth", "old": "1", "new": "2"},
    ]
    assert found["metrics"]["score"] == {"before": 0.5, "now": 0.75, "delta": 0.25}
    (data,) = found["data"]
    assert (data["objects_before"], data["objects"]) == (1, 2)
    assert (data["new"], data["changed"], data["gone"]) == (["more.csv"], ["train.csv"], [])
    assert found["code"]["files"] == {"train.py": "changed"}
    assert '-print("score=0.5;")\n+print("score=0.75;")' in found["code"]["diff"]

    text = workspace.run("diff", "script@1", "script@2", "--plot").stdout
    for line in ("hyperparameters.depth  1", "0.75", "+0.25", "  ~ train.csv", "  + more.csv", '+print("score=0.75;")'):
        assert line in text, text
    assert "abc1" not in text
    assert "differs from itself" in workspace.run("diff", "script@2", "script@latest", code=1).stderr
    assert "no Model says what script@newest is" in workspace.run("diff", "script@2", "script@newest", code=1).stderr
    with workspace.project() as project:
        assert "hyperparameters.depth" in str(project.diff("script@1", "script@2"))
