"""What is wrong with a spec that is in no file yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.parts import Parts
from sagespec.verbs.candidates import candidate_job, problems_with

JOB = "apiVersion: sagespec/v1\nkind: TrainingJob\nname: churn\nversion: 1\nalgorithm: xgboost\n"
MISSPELT = f"{JOB}hyperparameters: {{num_rund: 5}}\nchannels: {{train: ../data/train.csv}}\n"
WITHOUT_DATA = f"{JOB}hyperparameters: {{num_round: 5}}\nchannels: {{train: ../data/train.csv}}\n"


@pytest.mark.parametrize(("text", "said"), [(MISSPELT, "num_rund"), (WITHOUT_DATA, "train.csv")])
def test_it_has_no_place_since_there_is_no_such_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: acme\nruntime: process\n")
    parts, file = Parts(tmp_path), tmp_path / "specs" / "churn.yaml"
    with pytest.raises(SpecError, match=said) as refused:
        candidate_job(parts, text, file)
    assert {problem.where for problem in refused.value.problems} == {None}
    assert problems_with(parts, text, file) == refused.value.problems
    assert not file.exists()
