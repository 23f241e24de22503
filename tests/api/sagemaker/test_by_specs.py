"""What a person's specs name, as clients find it, and what they may not do with it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.api.sagemaker.asking import XGBOOST, Asking

JOB = """apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 3
algorithm: xgboost
hyperparameters: {num_round: 2, objective: 'binary:logistic'}
channels:
  train: {source: ../data/train.csv, content_type: text/csv}
"""
ENDPOINT = """---
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {name: stable, model: churn@3, weight: 2}
"""


def write(asking: Asking, text: str) -> None:
    data = asking.plane.root / "data"
    data.mkdir(exist_ok=True)
    (data / "train.csv").write_text((asking.plane.root / ".sagespec/s3/acme/train.csv").read_text())
    (asking.plane.root / "specs" / "churn.yaml").write_text(text)


def test_job_of_a_person_is_found_by_its_version_and_attached_to(working: Asking) -> None:
    write(working, JOB + ENDPOINT)
    found = working.ended("churn-3")
    assert found["TrainingJobStatus"] == "Completed"
    assert found["HyperParameters"] == {"num_round": "2", "objective": "binary:logistic"}
    # What SDK 2 reads of a job that it attaches to.
    assert found["ResourceConfig"]["InstanceCount"] == 1
    assert found["StoppingCondition"]["MaxRuntimeInSeconds"] == 86400
    assert found["AlgorithmSpecification"]["TrainingInputMode"] == "File"
    assert (found["RoleArn"], found["OutputDataConfig"]["KmsKeyId"]) == ("arn:aws:iam::000000000000:role/sagespec", "")
    assert found["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == (
        f"file://{working.plane.root}/data/train.csv"
    )
    names = {one["TrainingJobName"] for one in working.client.list_training_jobs()["TrainingJobSummaries"]}
    assert names == {"churn-3"}
    logs = working.plane.client("logs")
    streams = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="churn-3/")
    assert streams["logStreams"][0]["logStreamName"].startswith("churn-3/algo-1-")

    endpoint = working.settled("churn")
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "churn"), endpoint
    assert endpoint["ProductionVariants"][0]["CurrentWeight"] == 2
    config = working.client.describe_endpoint_config(EndpointConfigName="churn")["ProductionVariants"]
    assert [(one["VariantName"], one["ModelName"], one["InitialVariantWeight"]) for one in config] == [
        ("stable", "churn-3", 2)
    ]
    assert [one["EndpointName"] for one in working.client.list_endpoints()["Endpoints"]] == ["churn"]
    working.client.get_waiter("endpoint_in_service").wait(EndpointName="churn")

    # Its model is served under another name, as after Estimator.attach(…).deploy(…).
    working.model(
        "again", found["ModelArtifacts"]["S3ModelArtifacts"], found["AlgorithmSpecification"]["TrainingImage"]
    )
    working.config("again", A="again")
    working.client.create_endpoint(EndpointName="again", EndpointConfigName="again")
    assert "- {name: A, model: churn@3}" in working.spec("endpoint-again.yaml")
    assert working.settled("again")["EndpointStatus"] == "InService"


def test_what_a_person_has_written_is_changed_there(asking: Asking) -> None:
    write(asking, JOB + ENDPOINT)
    for operation, more in (("delete_endpoint", {}), ("update_endpoint", {"EndpointConfigName": "c"})):
        code, text = asking.refusal(operation, EndpointName="churn", **more)
        assert (code, "it is in specs/churn.yaml" in text) == ("ValidationException", True), text
    assert asking.describe("churn-3")["TrainingJobStatus"] == "InProgress"
    for name in ("churn-2", "churn-03", "churn", "other-3"):
        assert asking.refusal("describe_training_job", TrainingJobName=name)[1] == "Requested resource not found."


def test_name_that_a_client_has_given_goes_first(asking: Asking) -> None:
    asking.job("churn-3")
    write(asking, JOB)
    assert asking.describe("churn-3")["HyperParameters"]["num_round"] == "3"
    names = [one["TrainingJobName"] for one in asking.client.list_training_jobs()["TrainingJobSummaries"]]
    assert names == ["churn-3"]
    (asking.specs / "churn-3.yaml").unlink()
    asking.job("again")
    names = [one["TrainingJobName"] for one in asking.client.list_training_jobs()["TrainingJobSummaries"]]
    assert sorted(names) == ["again", "churn-3"]


def test_edited_spec_is_described_as_it_is_now(asking: Asking) -> None:
    write(asking, JOB)
    assert asking.describe("churn-3")["HyperParameters"]["num_round"] == "2"
    write(asking, JOB.replace("num_round: 2", "num_round: 40"))
    assert asking.describe("churn-3")["HyperParameters"]["num_round"] == "40"


def test_deleted_job_leaves_its_name_and_its_file_and_keeps_its_model(working: Asking) -> None:
    for name in ("churn-2026-11-29-12-30-05-575", "churn-2026-11-29-12-40-05-575"):
        working.job(name)
        assert working.ended(name)["TrainingJobStatus"] == "Completed"
    working.client.delete_training_job(TrainingJobName="churn-2026-11-29-12-40-05-575")
    assert not (working.specs / "churn.yaml").exists()
    assert working.refusal("describe_training_job", TrainingJobName=name)[1] == "Requested resource not found."
    assert working.describe("churn-2")["TrainingJobStatus"] == "Completed", "what the store has keeps this name"
    code, text = working.refusal("delete_training_job", TrainingJobName="churn-2")
    assert (code, "which the store keeps" in text) == ("ValidationException", True)
    working.job(name)
    assert "version: 3" in working.spec("churn.yaml"), "the name is free, and the version is the next"
    assert working.ended(name)["TrainingJobStatus"] == "Completed"


def test_job_that_runs_is_not_deleted(asking: Asking) -> None:
    asking.job("churn", XGBOOST)
    with pytest.raises(ClientError, match="in status InProgress"):
        asking.client.delete_training_job(TrainingJobName="churn")
