"""A project whose own folder is the code: what sagespec and tools leave in it changes no job, and edits are named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.scenarios.workspace import Workspace

SCRIPT = "import os, pathlib\npathlib.Path(os.environ['SM_MODEL_DIR'], 'm').write_text('1')\n"
SPEC = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: own
version: 1
framework: sklearn
entry_point: train.py
source_dir: ..
"""


@pytest.mark.parametrize("store", ["file://.sagespec/store", "file://state/kept"])
def test_a_project_may_be_its_own_source(store: str, tmp_path: Path, project_name: str) -> None:
    project = Workspace(tmp_path / "project", project_name, "process", store)
    project.write(SPEC)
    project.write(SCRIPT, "train.py")
    project.run("apply")
    project.write("an editor's", ".train.py.swp")
    project.run("plan", "--exit-code", code=0)
    (manifest,) = project.root.glob("**/jobs/own/1/manifest.json")
    assert set(json.loads(manifest.read_text())["files"]["code"]) == {
        *("train.py", "sagespec.yaml", "specs/all.yaml", "data/train.csv")
    }

    project.write(SCRIPT + "#", "train.py")
    project.write("1", "notes.txt")
    refused = project.run("plan", "--exit-code", code=None)
    said = "code differs from what version 1 was trained with: notes.txt added, train.py changed"
    assert said in " ".join((refused.stdout + refused.stderr).split())
    project.write(SCRIPT, "train.py")
    project.write("notes.txt\n", ".sagespecignore")
    project.run("plan", "--exit-code", code=0)


@pytest.mark.parametrize("kind", ["fifo", "dangling", "round"])
def test_what_cannot_be_code_is_refused_by_name_at_once(kind: str, tmp_path: Path, project_name: str) -> None:
    project = Workspace(tmp_path / "project", project_name, "process")
    project.write(SPEC)
    project.write(SCRIPT, "train.py")
    odd = project.root / "odd"
    os.mkfifo(odd) if kind == "fifo" else odd.symlink_to("." if kind == "round" else "nowhere")
    said = {"fifo": "is a FIFO", "dangling": "is a link to nowhere", "round": "is a link to a folder that contains it"}
    refused = project.run("plan", code=None, timeout=20)
    assert refused.returncode
    assert f"specs/all.yaml:7:13  job/own@1: {odd} {said[kind]}" in refused.stdout + refused.stderr
