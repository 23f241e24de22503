"""boto3 as it is: waiters, variants under load, a control plane that is killed while a job trains."""

from __future__ import annotations

import collections
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from sagespec.api.sagemaker.imports.imports import import_from_sagemaker
from sagespec.errors import WorldError
from tests.scenarios.specs import endpoint
from tests.scenarios.workspace import Workspace
from tests.sdk.desk import Desk, accuracy

pytestmark = pytest.mark.slow(60)
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
LATE_SECONDS = 8  # below 1 on a machine that does nothing else
ROLE = "arn:aws:iam::000000000000:role/sagespec"


def client(desk: Desk, service: str) -> Any:
    variables = desk.variables
    session: Any = boto3.session.Session(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
    )
    runtime = f"http://127.0.0.1:{desk.workspace.port}"
    return session.client(
        service, endpoint_url=runtime if service == "sagemaker-runtime" else variables["AWS_ENDPOINT_URL"]
    )


def train(desk: Desk, name: str, **hyperparameters: str) -> None:
    s3 = client(desk, "s3")
    s3.upload_file(str(desk.folder / "train.csv"), "sagespec", "train.csv")
    client(desk, "sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={"objective": "binary:logistic", **hyperparameters},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://sagespec/train.csv"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://sagespec/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )


def status(desk: Desk, name: str) -> str:
    return str(client(desk, "sagemaker").describe_training_job(TrainingJobName=name)["TrainingJobStatus"])


def wait(desk: Desk, waiter: str, **about: str) -> float:
    """When boto3's own waiter returned, which asks every 30 or 120 s where it is not held."""
    client(desk, "sagemaker").get_waiter(waiter).wait(**about)
    return time.time()


def test_a_waiter_returns_when_the_job_ends(desk: Desk) -> None:
    with desk.api():
        train(desk, "waited-for", num_round="3000")
        assert status(desk, "waited-for") == "InProgress"
        returned = wait(desk, "training_job_completed_or_stopped", TrainingJobName="waited-for")
        job = client(desk, "sagemaker").describe_training_job(TrainingJobName="waited-for")

    assert job["TrainingJobStatus"] == "Completed"
    assert returned - job["TrainingEndTime"].timestamp() < LATE_SECONDS


def test_variants_split_as_asked_and_are_weighed_anew_without_a_failed_request(desk: Desk) -> None:
    with desk.api():
        for name, rounds in (("shallow", "2"), ("deep", "30")):
            train(desk, name, num_round=rounds)
        sagemaker = client(desk, "sagemaker")
        for name in ("shallow", "deep"):
            wait(desk, "training_job_completed_or_stopped", TrainingJobName=name)
            url = f"s3://sagespec/out/{name}/output/model.tar.gz"
            container = {"Image": IMAGE, "ModelDataUrl": url}
            sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variants = [
            {"VariantName": name, "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
             "InitialVariantWeight": weight}
            for name, weight in (("shallow", 9.0), ("deep", 1.0))
        ]  # fmt: skip
        sagemaker.create_endpoint_config(EndpointConfigName="ab", ProductionVariants=variants)
        sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="ab")
        wait(desk, "endpoint_in_service", EndpointName="ab")

        served = Load(desk).ask(1000)
        assert not served.failed
        assert 850 <= served.by["shallow"] <= 945

        load = Load(desk)
        with load.running():
            weights = [{"VariantName": "shallow", "DesiredWeight": 1.0}, {"VariantName": "deep", "DesiredWeight": 9.0}]
            sagemaker.update_endpoint_weights_and_capacities(EndpointName="ab", DesiredWeightsAndCapacities=weights)
            wait(desk, "endpoint_in_service", EndpointName="ab")
            variants[0]["InitialInstanceCount"] = 2
            sagemaker.create_endpoint_config(EndpointConfigName="ab-2", ProductionVariants=variants)
            sagemaker.update_endpoint(EndpointName="ab", EndpointConfigName="ab-2", RetainAllVariantProperties=True)
            wait(desk, "endpoint_in_service", EndpointName="ab")
        assert load.failed == []
        assert sum(load.by.values()) > 100
        now = sagemaker.describe_endpoint(EndpointName="ab")
        assert now["EndpointConfigName"] == "ab-2"
        assert {one["VariantName"]: one["CurrentWeight"] for one in now["ProductionVariants"]} == {
            "shallow": 1.0,
            "deep": 9.0,
        }
        desk.assert_only(*(f"specs/notebook/{name}.yaml" for name in ("shallow", "deep", "endpoint-ab")))


class Load:
    """Requests to the endpoint `ab`, counted by the variant that answered."""

    def __init__(self, desk: Desk) -> None:
        self._runtime = client(desk, "sagemaker-runtime")
        self._rows = (desk.folder / "rows.csv").read_text().splitlines()
        self.by: collections.Counter[str] = collections.Counter()
        self.failed: list[str] = []

    def ask(self, count: int) -> Load:
        for number in range(count):
            self._ask_once(number)
        return self

    def _ask_once(self, number: int) -> None:
        try:
            row = self._rows[number % len(self._rows)]
            answer = self._runtime.invoke_endpoint(EndpointName="ab", Body=row, ContentType="text/csv")
            answer["Body"].read()
            self.by[answer["InvokedProductionVariant"]] += 1
        except Exception as error:
            self.failed.append(repr(error))

    def running(self) -> Running:
        return Running(self)


class Running:
    """Three threads that ask without a pause."""

    def __init__(self, load: Load) -> None:
        self._load, self._end = load, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def _ask(self) -> None:
        number = 0
        while not self._end.is_set():
            self._load._ask_once(number)
            number += 1

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.mlflow
def test_mlflows_client_serves_replaces_and_removes_a_model(process_desk: Desk) -> None:
    desk = process_desk
    with desk.api():
        found = desk.run("mlflow", "mlflow_client.py")

    assert found["listed"] == ["tumours"]
    assert found["after"] == []
    assert found["states"] == ["InService", "InService"]


def test_a_job_is_imported_into_another_project_and_serves_there(
    process_desk: Desk, tmp_path: Path, project_name: str
) -> None:
    name = "churn-20261129123713"
    with process_desk.api():
        there = Workspace(tmp_path / "there", f"{project_name}-b", "process", environment=process_desk.variables)
        train(process_desk, "endless", num_round="1000000")
        with there.project() as project, pytest.raises(WorldError, match="job endless has no model: it is InP"):
            import_from_sagemaker(project.parts, "sagemaker:endless")
        client(process_desk, "sagemaker").stop_training_job(TrainingJobName="endless")
        train(process_desk, name, num_round="40")
        wait(process_desk, "training_job_completed_or_stopped", TrainingJobName=name)
        said = there.run("import", f"sagemaker:{name}").stdout
    assert "imported  job/churn@1" in said
    assert "wrote     specs/churn.yaml" in said
    there.write(endpoint("only churn@1 1"))
    there.run("apply")
    with there.project() as project:
        (manifest,) = project.parts.records.manifests(project.parts.records.all_jobs()).values()
        assert 0 < manifest.metrics["train:logloss"] < 0.3, "what it scored there"
        rows = (process_desk.folder / "rows.csv").read_bytes()
        scores = [float(score) for score in project.invoke("answers", rows).text.split()]
        assert accuracy(scores, process_desk.folder) > 0.9
        project.destroy(check=False)
