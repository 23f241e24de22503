"""The page on `accelerate`, as a person follows it: converted, shown, changed without need for it, and refused."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from tests import built
from tests.docs.pages import ROOT, blocks
from tests.scenarios.workspace import Workspace

FEATURES, LABELS = load_breast_cancer(return_X_y=True)
OWN_PREDICTION = "def predict_fn(data, model):\n    return model.predict(data)\n"


def pack(workspace: Workspace, name: str, model: Any, script: str = "") -> None:
    joblib.dump(model, workspace.root / "model.joblib")
    with tarfile.open(workspace.root / name, "w:gz") as tar:
        tar.add(workspace.root / "model.joblib", "model.joblib")
        if script:
            (workspace.root / "inference.py").write_text(script)
            tar.add(workspace.root / "inference.py", "code/inference.py")


def variants(workspace: Workspace) -> dict[str, Any]:
    (endpoint,) = workspace.json("status")["endpoints"]
    return {variant["name"]: variant for variant in endpoint["variants"]}


@pytest.mark.slow
def test_the_example_of_the_page(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready("sklearn")
    forest = RandomForestClassifier(100, random_state=0).fit(FEATURES, LABELS)
    pack(workspace, "model.tar.gz", forest)
    (example,) = blocks(ROOT / "docs" / "accelerate.md", "yaml")
    plain = "\n".join(line for line in example.splitlines() if "accelerate" not in line)
    workspace.write(plain)
    workspace.run("apply")
    assert "acceleration" not in variants(workspace)["forest"]

    workspace.write(example)
    planned = " ".join(workspace.run("plan").stdout.split())
    assert "start-instance endpoint/tumor/forest#0 accelerate" in planned
    workspace.run("apply")
    found = variants(workspace)["forest"]["acceleration"]
    assert (found["asked"], found["is_on"]) == ("onnx", True)
    assert found["text"].startswith("RandomForestClassifier, checked on 1000 rows, the largest difference ")
    assert "forest: accelerate: onnx is on: RandomForestClassifier" in " ".join(workspace.run("status").stdout.split())
    assert "accelerate of forest unset -> onnx" in workspace.run("history").stdout

    with workspace.project() as project:
        body = json.dumps(FEATURES[:100].tolist()).encode()
        answer = project.invoke("tumor", body, content_type="application/json")
    assert answer.status == 200, answer.body
    assert json.loads(answer.body) == forest.predict(FEATURES[:100]).tolist()

    pack(workspace, "own.tar.gz", forest, OWN_PREDICTION)
    workspace.edit(r"\.\./model\.tar\.gz", "../own.tar.gz")
    workspace.run("apply")
    found = variants(workspace)["forest"]["acceleration"]
    assert not found["is_on"]
    assert "predict_fn" in found["text"]


def test_what_cannot_be_accelerated_is_refused_with_its_place(workspace: Workspace) -> None:
    workspace.write(
        "apiVersion: sagespec/v1\nkind: TrainingJob\nname: groups\nversion: 1\nalgorithm: kmeans\n"
        "hyperparameters: {k: 2}\nchannels: {train: ../data/train.csv}\n---\n"
        "apiVersion: sagespec/v1\nkind: Endpoint\nname: groups\nvariants:\n"
        "  - {name: all, model: groups@1, accelerate: onnx}\n"
    )
    said = workspace.run("validate", code=None)
    assert said.returncode != 0
    assert "groups@1 is served by kmeans, whose models accelerate cannot convert" in said.stdout + said.stderr
    workspace.edit(r"model: groups@1, accelerate", "model: ../m.tar.gz, framework: pytorch, accelerate")
    said = workspace.run("validate", code=None)
    assert "does not go with pytorch models" in said.stdout + said.stderr
