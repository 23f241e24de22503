"""Requests as clients make them, with what every one of them needs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.planes import Plane

ROLE = "arn:aws:iam::000000000000:role/sagespec"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Asking:
    plane: Plane
    client: Any

    @property
    def specs(self) -> Path:
        return self.plane.root / "specs" / "notebook"

    def spec(self, file: str) -> str:
        return (self.specs / file).read_text()

    def files(self) -> list[str]:
        """All that was written to the project, but for sagespec's own folder and its settings."""
        found = (path.relative_to(self.plane.root) for path in self.plane.root.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if path.parts[0] not in (".sagespec", "sagespec.yaml"))

    def job(self, name: str, image: str = XGBOOST, **more: Any) -> Any:
        source = {"S3DataType": "S3Prefix", "S3Uri": "s3://acme/train.csv"}
        given: dict[str, Any] = {
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://acme/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
            "HyperParameters": {"num_round": "3", "objective": "binary:logistic"},
            "InputDataConfig": [
                {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}
            ],
        }
        return self.client.create_training_job(TrainingJobName=name, **given | more)

    def describe(self, name: str) -> Any:
        return self.client.describe_training_job(TrainingJobName=name)

    def ended(self, name: str) -> Any:
        """How the job ended."""
        return self._until(lambda: self.describe(name), "TrainingJobStatus", ("InProgress", "Stopping"))

    def model(self, name: str, uri: str, image: str = XGBOOST, **environment: str) -> None:
        container = {"Image": image, "ModelDataUrl": uri, "Environment": environment}
        self.client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def config(self, name: str, **variants: Any) -> None:
        """variants: each with its model, or a map with that and more."""
        given = [
            {"VariantName": variant, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
            | (more if isinstance(more, dict) else {"ModelName": more})
            for variant, more in variants.items()
        ]
        self.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=given)

    def endpoint(self, name: str) -> Any:
        return self.client.describe_endpoint(EndpointName=name)

    def settled(self, name: str) -> Any:
        return self._until(lambda: self.endpoint(name), "EndpointStatus", ("Creating", "Updating"))

    def gone(self, name: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while name in {one["EndpointName"] for one in self.client.list_endpoints()["Endpoints"]}:
            assert time.monotonic() < end, self.endpoint(name)
            time.sleep(0.1)
        assert "Could not find endpoint" in self.refusal("describe_endpoint", EndpointName=name)[1]

    def refusal(self, operation: str, **request: Any) -> tuple[str, str]:
        """The code and text of an error."""
        with pytest.raises(ClientError) as caught:
            getattr(self.client, operation)(**request)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    def _until(self, ask: Any, member: str, passing: tuple[str, ...]) -> Any:
        end = time.monotonic() + PATIENCE_SECONDS
        while (found := ask())[member] in passing:
            assert time.monotonic() < end, found
            time.sleep(0.1)
        return found
