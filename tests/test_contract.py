"""SageMaker's training contract as data."""

from __future__ import annotations

import json

from sagespec.contract import training_environment
from tests.simulation import desired_from


def test_a_hyperparameter_that_cannot_name_a_variable_is_in_the_json_alone() -> None:
    hyperparameters = {"eta": 0.1, "a=b": 1}
    (job,) = desired_from(
        {"kind": "TrainingJob", "name": "churn", "version": 1, "hyperparameters": hyperparameters}
    ).jobs
    environment = training_environment(job, "algo-1", "/opt/ml")
    assert json.loads(environment["SM_HPS"]) == hyperparameters
    assert [name for name in environment if name.startswith("SM_HP_")] == ["SM_HP_ETA"]
