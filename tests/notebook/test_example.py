"""The notebook that `make notebook` opens, run as it is: examples/notebook."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sagespec.api.service import BUCKET
from tests.notebook.cells import Notebooks
from tests.notebook.overlay import ROOT, make
from tests.notebook.sessions import changed, check, opened, project_in

pytestmark = [pytest.mark.jupyter, pytest.mark.sdk2, pytest.mark.slow]


def test_the_example_trains_deploys_predicts_and_cleans_up(tmp_path: Path, project_name: str) -> None:
    """Nothing leaves this machine, and what is left is a spec."""
    project, scratch = tmp_path / "project", tmp_path / "scratch"
    scratch.mkdir()
    project.mkdir()
    shutil.copy(ROOT / "examples" / "notebook" / "churn.ipynb", project)
    notebooks = Notebooks(make(tmp_path / "python", "sdk2", "jupyter"), project_in(project, project_name), scratch)
    with opened(notebooks):
        first, data, fit, deployed, answers, status, specs, cleaned = check(notebooks.run(project / "churn.ipynb"))
    assert BUCKET in first
    assert data.strip().endswith("'s3://sagemaker-us-east-1-000000000000/churn/train/train.csv'")
    assert "[19]" in fit, "the job's own log is shown"
    assert "Training seconds" in fit
    assert deployed.strip().endswith("!")
    assert "leaves" in answers
    assert "job/churn@1" in status
    assert "endpoint/churn" in status
    assert "algorithm: xgboost" in specs
    assert "Deleting endpoint with name: churn" in cleaned
    assert changed(project) == ["specs/notebook/churn.yaml"]
    notebooks.check_nothing_left()
