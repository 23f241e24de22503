"""Control planes of two environments of one checkout, side by side."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from sagespec.api.environment import environment_of
from sagespec.api.serve import listening
from sagespec.errors import WorldError
from sagespec.notebook.notebook import running
from sagespec.project import Project
from sagespec.web.places import claimed, write_place


def open_in(root: Path, environment: str) -> Project:
    return Project(root, runtime="process", environment=environment)


@pytest.fixture
def checkout(root: Path) -> Path:
    (root / "environments").mkdir()
    for name in ("staging", "prod"):
        text = f"apiVersion: sagespec/v1\nkind: Environment\nname: {name}\n"
        (root / "environments" / f"{name}.yaml").write_text(text)
    return root


def test_each_environment_has_a_control_plane_with_a_port_and_a_key_of_its_own(checkout: Path) -> None:
    with open_in(checkout, "staging") as staging, open_in(checkout, "prod") as prod:
        with listening(staging) as first:
            with pytest.raises(WorldError, match="the control plane of this project does not run"):
                environment_of(prod)
            with pytest.raises(WorldError, match="runs for this project already"), listening(staging):
                pass
            with listening(prod) as second:
                said = {project: dict(environment_of(project).variables) for project in (staging, prod)}
                assert said[staging]["AWS_ENDPOINT_URL"] == first.url
                assert said[prod]["AWS_ENDPOINT_URL"] == second.url
                assert first.url != second.url
                assert _status(said[prod]) == 200
                with pytest.raises(ClientError, match="the access key is not this project's"):
                    _status({**said[prod], "AWS_ENDPOINT_URL": first.url})
            assert _status(said[staging]) == 200, "the other one has ended"


def test_the_notebook_of_an_environment_is_no_other_ones(checkout: Path) -> None:
    with open_in(checkout, "staging") as staging, open_in(checkout, "prod") as prod, open_in(checkout, "") as plain:
        with claimed(staging.parts.kept, "notebook"):
            write_place(staging.parts.kept, "notebook", "http://127.0.0.1:8888/lab?token=x")
            assert running(staging.parts.kept)
            assert [running(other.parts.kept) for other in (prod, plain)] == [None, None]
            with claimed(prod.parts.kept, "notebook"):
                assert running(prod.parts.kept) is None, "it starts, and has said no address yet"


def _status(variables: dict[str, str]) -> int:
    client = boto3.client(
        "sagemaker",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    return int(client.list_training_jobs()["ResponseMetadata"]["HTTPStatusCode"])
