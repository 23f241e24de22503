"""SDK 2's estimator from the first cell of a notebook to the last, and what is left of it in git."""

from __future__ import annotations

import tarfile
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import xgboost

from tests.scenarios.workspace import Workspace
from tests.sdk.desk import Desk, accuracy

pytestmark = [pytest.mark.sdk2, pytest.mark.slow(100)]

TRAINED = 0.9  # of the tumours it has not seen


def test_from_fit_to_clean_up(desk: Desk) -> None:
    with desk.api():
        first = desk.run("sdk2", "estimator.py", kernel=True)
        assert first["role"] == "arn:aws:iam::000000000000:role/sagespec"
        assert "train-logloss:" in first["said"]
        assert accuracy(first["scores"], desk.folder) > TRAINED
        np.testing.assert_allclose(first["scores"], expected(desk), rtol=1e-5)
        desk.assert_only("specs/notebook/tumours.yaml", "specs/notebook/endpoint-tumours.yaml")

        then = desk.run("sdk2", "afterwards.py", first["job"], kernel=True)
    assert then["hyperparameters"]["num_round"] == "20"
    assert then["metrics"] == ["train:logloss"]
    assert then["instances"] == [2]
    assert then["scores"] == first["scores"]
    assert "Could not find endpoint" in then["gone"]
    desk.assert_only("specs/notebook/tumours.yaml")


def test_a_fresh_clone_with_the_same_store_trains_nothing_and_answers_the_same(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = desk.workspace
    settings = workspace.root / "sagespec.yaml"
    settings.write_text(settings.read_text().replace("file://.sagespec/store", f"file://{tmp_path}/store"))
    desk.git("commit", "-qam", "a store of its own")
    with desk.api():
        first = desk.run("sdk2", "estimator.py", kernel=True)
    desk.git("add", "-A")
    desk.git("commit", "-qm", "what the notebook wrote")
    workspace.run("destroy", "--yes")

    desk.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Workspace.__new__(Workspace)
    clone.__dict__ |= {**workspace.__dict__, "root": tmp_path / "clone"}
    done = clone.run("apply")

    assert "run-job" not in done.stdout + done.stderr
    body = (desk.folder / "rows.csv").read_bytes().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{workspace.port}/endpoints/tumours/invocations",
        body,
        {"Content-Type": "text/csv", "Accept": "text/csv"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        scores = [float(score) for score in answer.read().decode().replace("\n", ",").strip(",").split(",")]
    assert scores == first["scores"]
    clone.run("destroy", "--yes")


def expected(desk: Desk) -> list[float]:
    """What the model that the client has downloaded says of the same rows, by xgboost itself."""
    with tarfile.open(desk.folder / "fetched" / "model.tar.gz") as tar:
        tar.extractall(desk.folder / "model", filter="data")
    [file] = [path for path in (desk.folder / "model").rglob("*") if path.is_file() and path.name.startswith("xgb")]
    rows = np.loadtxt(desk.folder / "rows.csv", delimiter=",")
    with xgboost.config_context(verbosity=0):  # it would warn of the file's name
        booster = xgboost.Booster(model_file=str(file))
        return [float(score) for score in booster.predict(xgboost.DMatrix(rows))]
