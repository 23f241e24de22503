"""SDK 2: a model that another script serves than the one that trained it; what a fresh clone has of it."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scenarios.workspace import Workspace
from tests.sdk.desk import Desk, accuracy

pytestmark = [pytest.mark.sdk2, pytest.mark.slow(80)]


def test_another_script_serves_here_and_in_a_fresh_clone(desk: Desk, tmp_path: Path) -> None:
    workspace = desk.workspace
    settings = workspace.root / "sagespec.yaml"
    settings.write_text(settings.read_text().replace("file://.sagespec/store", f"file://{tmp_path}/store"))
    desk.git("commit", "-qam", "a store of its own")
    with desk.api():
        found = desk.run("sdk2", "serving.py", kernel=True)
        assert set(found["words"]) <= {"malignant", "benign"}
        assert set(found["how"]) <= {"sure", "unsure"}
        spec = (workspace.root / "specs" / "notebook" / "endpoint-forest.yaml").read_text()
    assert "framework: sklearn\n    entry_point: inference.py\n" in spec
    assert " is forest@1 with inference.py of s3://sagemaker-us-east-1-" in spec
    desk.assert_only(
        *(f"specs/notebook/{name}.yaml" for name in ("forest", "trees", "endpoint-forest", "endpoint-trees")),
        "code/forest-1/train.py",
    )
    desk.git("add", "-A")
    desk.git("commit", "-qm", "what the notebook wrote")
    workspace.run("destroy", "--yes")

    desk.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Workspace.__new__(Workspace)
    clone.__dict__ |= {**workspace.__dict__, "root": tmp_path / "clone"}
    done = clone.run("apply")
    assert "run-job" not in done.stdout + done.stderr
    rows = np.loadtxt(desk.folder / "rows.csv", delimiter=",")[:5].tolist()
    body = "\n".join(",".join(map(str, row)) for row in rows)
    assert answer(workspace, "forest", json.dumps({"rows": rows}), "application/json") == {"words": found["words"]}
    assert answer(workspace, "trees", body, "text/csv") == {"how": found["how"]}
    clone.run("destroy", "--yes")


def test_pytorch_on_two_hosts_and_the_model_that_the_sdk_packs_again(desk: Desk) -> None:
    if desk.workspace.runtime == "process":
        pytest.importorskip("torch")
    with desk.api():
        found = desk.run("sdk2", "networks.py", kernel=True)
    assert {f"rank {rank} of 2 ended" in found["said"] for rank in (0, 1)} == {True}
    assert found["ranks"] == 2
    assert accuracy(found["scores"], desk.folder) > 0.9
    spec = (desk.workspace.root / "specs" / "notebook" / "linear.yaml").read_text()
    assert "distribution: torch_distributed\n" in spec
    assert "instances: 2\n" in spec
    spec = (desk.workspace.root / "specs" / "notebook" / "endpoint-linear.yaml").read_text()
    assert "model: store://pytorch-inference-" in spec
    assert "framework: pytorch\n    entry_point: answers.py\n" in spec


def answer(workspace: Workspace, endpoint: str, body: str, content_type: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{workspace.port}/endpoints/{endpoint}/invocations",
        body.encode(),
        {"Content-Type": content_type, "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as found:
        return json.loads(found.read())
