"""SDK 2 on what a person has written: it waits for it, asks it, attaches to it and serves its model once more."""

from __future__ import annotations

import shutil

import pytest

from tests.sdk.desk import Desk

pytestmark = [pytest.mark.sdk2, pytest.mark.slow]

SPECS = """apiVersion: sagespec/v1
kind: TrainingJob
name: tumours
version: 3
algorithm: xgboost
hyperparameters: {num_round: 5, objective: 'binary:logistic'}
channels:
  train: {source: ../data/train.csv, content_type: text/csv}
---
apiVersion: sagespec/v1
kind: Endpoint
name: tumours
variants:
  - {name: stable, model: tumours@3}
"""


def test_clients_work_with_a_job_and_an_endpoint_of_a_person(process_desk: Desk) -> None:
    root = process_desk.workspace.root
    (root / "data").mkdir(exist_ok=True)
    shutil.copy(process_desk.folder / "train.csv", root / "data" / "train.csv")
    (root / "specs" / "tumours.yaml").write_text(SPECS)
    with process_desk.api():
        found = process_desk.run("sdk2", "attached.py", kernel=True)
    assert found["rounds"] == "5"
    assert found["ours"] == found["theirs"]
    assert (root / "specs" / "tumours.yaml").read_text() == SPECS
