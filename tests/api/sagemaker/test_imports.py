"""Training jobs and endpoints of SageMaker become specs and models here: asked of a real server, moto's."""

from __future__ import annotations

import io
import re
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from sagespec.api.sagemaker.imports.imports import import_from_sagemaker
from sagespec.api.sagemaker.imports.specs import Brought
from sagespec.errors import SagespecError
from sagespec.project import Project
from sagespec.state.addresses import job_address
from sagespec.verbs.import_model import ServedBy
from tests.contracts.servers import S3Server, s3_server

REGION = "eu-west-1"
XGBOOST = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SKLEARN = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
MINE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme-churn:3"
ROLE = "arn:aws:iam::123456789012:role/SageMaker"
JOB = "churn-2026-11-29-12-30-05-575"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server("moto") as found:
        yield found


@pytest.fixture
def project(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    server.activate(monkeypatch, AWS_DEFAULT_REGION=REGION)
    urllib.request.urlopen(f"{server.endpoint}/moto-api/reset", data=b"", timeout=10).close()
    client("s3").create_bucket(Bucket="acme", CreateBucketConfiguration={"LocationConstraint": REGION})
    (tmp_path / "specs").mkdir()
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: acme\nruntime: process\n")
    with Project(tmp_path) as found:
        yield found


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def put(key: str, **files: str) -> str:
    """An archive with these files in the bucket; its address."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    client("s3").put_object(Bucket="acme", Key=key, Body=packed.getvalue())
    return f"s3://acme/{key}"


def train(name: str = JOB, image: str = XGBOOST, **more: Any) -> None:
    """A job that has completed: moto's all have, and say that they scored 100 by train:progress."""
    s3 = {"S3DataType": "S3Prefix", "S3Uri": "s3://acme/train/"}
    client("sagemaker").create_training_job(
        **{
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "HyperParameters": {"num_round": "20", "objective": "binary:logistic"},
            "InputDataConfig": [
                {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": s3}}
            ],
            "OutputDataConfig": {"S3OutputPath": "s3://acme/out"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        }
        | more
    )


def allow_without_rights(server: S3Server, requests: bytes) -> None:
    """After so many requests, moto looks at keys and policies."""
    url, as_text = f"{server.endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, requests, as_text), timeout=10).close()


def fetch(project: Project, address: str = f"sagemaker:{JOB}", **given: Any) -> Brought:
    return import_from_sagemaker(project.parts, address, **given)


def refused(project: Project, address: str = f"sagemaker:{JOB}", **given: Any) -> str:
    with pytest.raises(SagespecError) as caught:
        fetch(project, address, **given)
    return str(caught.value)


def test_a_job_becomes_a_spec_as_a_person_writes_it_and_a_model_in_the_store(
    project: Project, server: S3Server
) -> None:
    put(f"out/{JOB}/output/model.tar.gz", **{"xgboost-model": "a model"})
    files = {"FileSystemId": "fs-12345678", "FileSystemType": "EFS", "DirectoryPath": "/", "FileSystemAccessMode": "ro"}
    s3 = {"S3DataType": "S3Prefix", "S3Uri": "s3://acme/train/"}
    train(
        InputDataConfig=[
            {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": s3}},
            {"ChannelName": "more", "DataSource": {"FileSystemDataSource": files}},
        ],
        VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        EnableManagedSpotTraining=True,
    )
    (project.root / "specs" / "churn.yaml").write_text("# somebody's own\n")
    brought = fetch(project)
    assert brought.files == ("specs/churn-2.yaml",), "no file is overwritten"
    assert (project.root / "specs" / "churn.yaml").read_text() == "# somebody's own\n"
    assert brought.left_out == (
        "EnableManagedSpotTraining",
        "VpcConfig",
        "InputDataConfig: channel more has no S3DataSource: "
        "sagespec reads S3 and this machine's folders, and no file systems",
    )
    heading, document = (project.root / brought.files[0]).read_text().split("apiVersion", 1)
    assert f"# Imported from SageMaker's training job {JOB} in {REGION} ({server.endpoint}).\n" in heading
    assert f"# {XGBOOST}, ml.m5.xlarge\n" in heading
    assert "# Left out, since sagespec has no field for it: EnableManagedSpotTraining, VpcConfig, " in heading
    assert f"apiVersion{document}" == (
        "apiVersion: sagespec/v1\nkind: TrainingJob\nname: churn\nversion: 1\nalgorithm: xgboost\n"
        "imported_from:\n"
        f"  source: s3://acme/out/{JOB}/output/model.tar.gz\n"
        "  metrics: {'train:progress': 100.0}\n"
        "hyperparameters: {num_round: 20, objective: 'binary:logistic'}\n"
        "channels:\n  train: {source: 's3://acme/train/', content_type: text/csv}\n"
        "stopping: {max_runtime: 1h}\n"
    )
    (manifest,) = brought.manifests
    kept = project.parts.records.manifests([job_address("churn", 1)])[job_address("churn", 1)]
    assert kept == manifest
    assert (kept.imported_from, kept.metrics) == (f"s3://acme/out/{JOB}/output/model.tar.gz", {"train:progress": 100})
    assert project.parts.store.read("acme/jobs/churn/1/model.tar.gz")
    assert project.plan().actions == ()
    assert f"training job {JOB} was imported already, as job/churn@1" in refused(project)

    train("churn-2026-11-30-12-30-05-575")
    put("out/churn-2026-11-30-12-30-05-575/output/model.tar.gz", **{"xgboost-model": "another"})
    assert fetch(project, "sagemaker:churn-2026-11-30-12-30-05-575").manifests[0].version == 2


def test_what_a_kill_has_left_is_finished_by_the_next_import(project: Project) -> None:
    train()
    assert f"there is nothing at s3://acme/out/{JOB}/output" in refused(project)
    assert list((project.root / "specs").iterdir()) == []
    client("s3").put_object(Bucket="acme", Key=f"out/{JOB}/output/model.tar.gz", Body=b"torn")
    assert "is not a .tar.gz file" in refused(project), "the spec was written, and the import broke off"
    assert (project.root / "specs" / "churn.yaml").exists()
    put(f"out/{JOB}/output/model.tar.gz", **{"xgboost-model": "a model"})
    assert [action.verb for action in project.plan()] == ["import"]
    assert [manifest.version for manifest in fetch(project).manifests] == [1]
    assert project.plan().actions == ()


def test_a_script_comes_along_in_a_folder(project: Project) -> None:
    put("code/sourcedir.tar.gz", **{"train.py": "print('trains')\n"})
    put(f"out/{JOB}/output/model.tar.gz", **{"model.joblib": "a model"})
    script = {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://acme/code/sourcedir.tar.gz"',
        "depth": "3",
    }
    train(image=SKLEARN, HyperParameters=script)
    (file,) = fetch(project, version="trees@7").files
    text = (project.root / file).read_text()
    assert "framework: sklearn\nsource_dir: ../code/trees-7\nentry_point: train.py\n" in text
    assert "hyperparameters: {depth: 3}\n" in text
    assert (project.root / "code" / "trees-7" / "train.py").read_text() == "print('trains')\n"
    assert project.plan().actions == ()


def test_an_endpoint_comes_with_its_models_and_the_weights_of_now(project: Project) -> None:
    sagemaker = client("sagemaker")
    script = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://acme/code/sourcedir.tar.gz"}
    put("code/sourcedir.tar.gz", **{"serve.py": "def model_fn(folder): ...\n"})
    for name, image, environment in (("churn", XGBOOST, {"LOG": "info"}), ("trees", SKLEARN, script)):
        uri = put(f"models/{name}/model.tar.gz", **{"a": f"model of {name}"})
        container = {"Image": image, "ModelDataUrl": uri, "Environment": environment}
        sagemaker.create_model(ModelName=f"{name}-model", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variants = [
        {"VariantName": name, "ModelName": f"{name}-model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        | {"InitialVariantWeight": 1.0, "RoutingConfig": {"RoutingStrategy": "RANDOM"}}
        for name in ("churn", "trees")
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=variants, KmsKeyId="key-1")
    sagemaker.create_endpoint(EndpointName="answers", EndpointConfigName="c")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="answers",
        DesiredWeightsAndCapacities=[{"VariantName": "churn", "DesiredWeight": 3, "DesiredInstanceCount": 2}],
    )
    brought = fetch(project, "sagemaker:answers")
    assert brought.files == ("specs/churn-model.yaml", "specs/endpoint-answers.yaml")
    assert {"KmsKeyId", "churn: RoutingConfig", "trees: RoutingConfig"} <= set(brought.left_out)
    text = (project.root / "specs" / "endpoint-answers.yaml").read_text()
    assert "- {name: churn, model: churn-model@1, weight: 3, instances: 2, environment: {LOG: info}}" in text
    (archive,) = set(re.findall(r"model: '?store://(trees-model-[0-9a-f]{12}\.tar\.gz)", text))
    assert project.parts.records.has_archive(archive)
    assert "framework: sklearn" in text
    plan = project.plan()
    assert plan.refused == ()
    assert "import" not in plan.counts, "its model is in the store"
    assert plan.counts["start-instance"] == 3
    assert "specs/endpoint-answers.yaml describes endpoint/answers already" in refused(project, "sagemaker:answers")


def test_what_cannot_be_had_is_said_with_the_way_out(project: Project, server: S3Server) -> None:
    assert "there is no training job or endpoint nothing in eu-west-1" in refused(project, "sagemaker:nothing")
    assert "there is no endpoint nothing in eu-west-2" in (
        refused(project, "sagemaker:endpoint/nothing", region="eu-west-2")
    )
    assert "names nothing of SageMaker" in refused(project, "sagemaker:a/b/c")
    assert "does not answer" in refused(project, region="no region")

    put(f"out/{JOB}/output/model.tar.gz", **{"xgboost-model": "a model"})
    train(image=MINE)
    said = refused(project)
    assert f"there is no {MINE} here, and without a Docker engine no image can be run" in said
    assert "--algorithm" in said
    assert list((project.root / "specs").iterdir()) == [], "nothing was written"
    assert fetch(project, served_by=ServedBy(algorithm="xgboost")).manifests[0].spec["algorithm"] == "xgboost"


def test_who_may_not_ask_is_told_what_right_is_missing(project: Project, server: S3Server) -> None:
    train()
    allow_without_rights(server, b"0")
    try:
        said = refused(project)
    finally:
        allow_without_rights(server, b"inf")
    assert f"training job {JOB} may not be read" in said
    assert "sagemaker:Describe*" in said
