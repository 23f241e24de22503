"""Training jobs, by an unmodified boto3: what is written, what runs, what is told of it."""

from __future__ import annotations

import base64
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.api.sagemaker.arns import records_of
from sagespec.api.sagemaker.records import KeptJob
from sagespec.api.serve import listening
from sagespec.project import Project
from tests.api.sagemaker.asking import SKLEARN, Asking
from tests.planes import Plane
from tests.ports import free_port

NAME = "churn-2026-11-29-12-30-05-575"
SPEC = """\
# Written by sagespec api for CreateTrainingJob churn-2026-11-29-12-30-05-575. Yours to edit.
# 683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1, ml.m5.large
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1
algorithm: xgboost
hyperparameters: {num_round: 3, objective: 'binary:logistic'}
channels:
  train: {source: 's3://acme/train.csv', content_type: text/csv}
"""


def test_job_is_written_trained_and_described(working: Asking) -> None:
    working.job(NAME)
    assert working.spec("churn.yaml") == SPEC
    found = working.ended(NAME)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Completed", "Completed"), found
    steps = [step["Status"] for step in found["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    times = [step[when] for step in found["SecondaryStatusTransitions"] for when in ("StartTime", "EndTime")]
    assert times == sorted(times)
    assert [metric["MetricName"] for metric in found["FinalMetricDataList"]] == ["train:logloss"]
    assert [metric["Name"] for metric in found["AlgorithmSpecification"]["MetricDefinitions"]] == ["train:logloss"]
    assert found["OutputDataConfig"]["KmsKeyId"] == ""
    assert found["BillableTimeInSeconds"] == found["TrainingTimeInSeconds"] >= 1
    uri = f"s3://acme/out/{NAME}/output/model.tar.gz"
    assert found["ModelArtifacts"]["S3ModelArtifacts"] == uri
    model = working.plane.client("s3").get_object(Bucket="acme", Key=uri.removeprefix("s3://acme/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as archive:
        assert archive.getnames() == ["xgboost-model"]
    assert working.files() == ["specs/notebook/churn.yaml"]
    assert not working.plane.listening.service.project.plan().actions


def test_later_job_is_the_next_version_and_the_file_holds_no_ended_one(working: Asking) -> None:
    working.job(NAME)
    working.ended(NAME)
    working.job("churn-20261129123713")
    assert "version: 2" in working.spec("churn.yaml")
    assert "version: 1" not in working.spec("churn.yaml")
    assert working.ended("churn-20261129123713")["TrainingJobStatus"] == "Completed"
    assert working.describe(NAME)["TrainingJobStatus"] == "Completed", "though no spec names it any more"


def test_job_in_a_queue_keeps_its_spec(asking: Asking) -> None:
    asking.job(NAME)
    asking.job("churn-20261129123713")
    assert asking.spec("churn.yaml").index("version: 2") < asking.spec("churn.yaml").index("---\n# Written")


def test_misspelt_hyperparameter_fails_the_job_at_once_and_writes_nothing(asking: Asking) -> None:
    asking.job(NAME, HyperParameters={"num_rond": "3", "num_round": "3"})
    found = asking.describe(NAME)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Failed", "Failed")
    what = 'ClientError: hyperparameters.num_rond is not one of xgboost; did you mean "num_round"?'
    assert found["FailureReason"] == what
    assert asking.files() == []


@pytest.mark.parametrize("uri", ["s3://acme/none.csv", "s3://no-such-bucket-of-anybody/train.csv"])
def test_data_that_is_not_there_fails_the_job_at_once(
    asking: Asking, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    asking.job(NAME, InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}])
    found = asking.describe(NAME)
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"].startswith("ClientError: channel train: ")
    assert uri in found["FailureReason"]
    asking.client.stop_training_job(TrainingJobName=NAME)
    assert asking.files() == []


def test_image_that_is_not_here_is_refused_with_what_there_is(asking: Asking) -> None:
    code, text = _refused(asking, "x", "522234722520.dkr.ecr.us-east-1.amazonaws.com/forecasting-deepar:1")
    assert code == "ValidationException"
    assert "kmeans, knn, lda" in text
    assert asking.refusal("describe_training_job", TrainingJobName="x") == (
        "ValidationException",
        "Requested resource not found.",
    )


def test_name_is_taken_once(asking: Asking) -> None:
    asking.job(NAME)
    code, text = _refused(asking, NAME)
    assert code == "ResourceInUse"
    assert text.startswith("Job name must be unique within an AWS account and region, and a job with this name already")


def test_job_of_a_person_is_left_alone(asking: Asking) -> None:
    mine = "apiVersion: sagespec/v1\nkind: TrainingJob\nname: churn\nversion: 3\nalgorithm: xgboost\n"
    asking.specs.mkdir(exist_ok=True)
    (asking.specs / "churn.yaml").write_text(mine)
    asking.job(NAME)
    assert asking.spec("churn.yaml") == mine
    assert "version: 4" in asking.spec("churn-2.yaml")


def test_stop_of_a_job_that_has_not_begun(working: Asking) -> None:
    working.job(NAME)
    working.client.stop_training_job(TrainingJobName=NAME)
    found = working.ended(NAME)
    assert found["TrainingJobStatus"] in ("Stopped", "Completed"), "a job this short may have ended before"
    code, text = working.refusal("stop_training_job", TrainingJobName=NAME)
    assert (code, text) == (
        "ValidationException",
        f"The request was rejected because the training job is in status {found['TrainingJobStatus']}.",
    )


def test_what_a_kill_left_between_record_and_spec_is_written_by_the_next_look(asking: Asking) -> None:
    asking.job(NAME)
    text = asking.spec("churn.yaml")
    (asking.specs / "churn.yaml").unlink()
    records = records_of(asking.plane.listening.service)
    records.change(KeptJob, NAME, lambda kept: replace(kept, is_written=False))
    assert asking.describe(NAME)["TrainingJobStatus"] == "InProgress"
    assert asking.spec("churn.yaml") == text


def test_client_that_asks_again_after_a_kill_is_answered(asking: Asking) -> None:
    asking.job(NAME)
    (asking.specs / "churn.yaml").unlink()
    records = records_of(asking.plane.listening.service)
    records.change(KeptJob, NAME, lambda kept: replace(kept, is_written=False))
    assert asking.job(NAME)["TrainingJobArn"].endswith(NAME)
    assert asking.files() == ["specs/notebook/churn.yaml"]


def test_many_at_once_are_all_written_and_keep_apart(asking: Asking) -> None:
    names = [f"churn-2026-11-29-12-30-05-{number:03}" for number in range(120)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(asking.job, names))
    versions = {records_of(asking.plane.listening.service).read(KeptJob, name).address for name in names}  # type: ignore[union-attr]
    assert versions == {f"job/churn@{version}" for version in range(1, 121)}
    validated = asking.plane.listening.service.project.validate()
    assert (validated.jobs, validated.endpoints) == (120, 0)


def test_script_is_unpacked_beside_the_specs(asking: Asking) -> None:
    _put_script(asking, {"train.py": "print('hi')\n", "conf/settings.yaml": "a: 1\n", "__pycache__/x.pyc": ""})
    asking.job("sk-20261129123713", SKLEARN, HyperParameters=_script())
    assert asking.files() == ["code/sk-1/conf/settings.yaml", "code/sk-1/train.py", "specs/notebook/sk.yaml"]
    assert "source_dir: ../../code/sk-1\nentry_point: train.py\nhyperparameters: {n: 3}\n" in asking.spec("sk.yaml")
    asking.plane.listening.service.project.validate()


def test_script_leaves_with_its_version_unless_somebody_has_changed_it(working: Asking) -> None:
    save = "import os\nopen(os.path.join(os.environ['SM_MODEL_DIR'], 'm'), 'w').write('x')\n"
    edited = working.plane.root / "code" / "sk-2" / "train.py"
    for version in range(1, 5):
        _put_script(working, {"train.py": save, "conf/settings.yaml": "a: 1\n"})
        name = f"sk-2026112912371{version}"
        working.job(name, SKLEARN, HyperParameters=_script())
        assert working.ended(name)["TrainingJobStatus"] == "Completed"
        if version == 2:
            edited.write_text(edited.read_text() + "# mine\n")
    assert sorted(path.name for path in (working.plane.root / "code").iterdir()) == ["sk-2", "sk-4"]
    assert edited.read_text().endswith("# mine\n")


@pytest.mark.parametrize("member", ["../evil.py", "/tmp/evil.py", "link"])
def test_archive_that_leads_out_is_refused(asking: Asking, member: str) -> None:
    _put_script(asking, {"train.py": "", member: "" if member != "link" else "->/etc/passwd"})
    code, text = _refused(asking, "sk", SKLEARN, HyperParameters=_script())
    assert code == "ValidationException"
    assert repr(member) in text
    assert asking.files() == []


def test_another_checkout_with_the_same_store_describes_the_same(
    asking: Asking, tmp_path: Path, project_name: str
) -> None:
    asking.job(NAME)
    asking.job("failed", HyperParameters={"num_rond": "3"})
    other = tmp_path / "other"
    (other / "specs").mkdir(parents=True)
    store = asking.plane.root / ".sagespec" / "store"
    settings = f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\nstore: {store}\n"
    (other / "sagespec.yaml").write_text(settings)
    with Project(other, runtime="process") as project, listening(project, ports=[free_port()]) as found:
        client = Plane(other, found).client("sagemaker")
        there = client.list_training_jobs()["TrainingJobSummaries"]
        assert {one["TrainingJobName"] for one in there} == {NAME, "failed"}
        assert client.describe_training_job(TrainingJobName="failed")["TrainingJobStatus"] == "Failed"


def test_lists_filter_sort_and_come_in_pages(asking: Asking) -> None:
    for number in range(5):
        asking.job(f"job-{number}", HyperParameters={} if number == 2 else {"num_round": "3"})
    pages = asking.client.get_paginator("list_training_jobs")

    def names(**asked: object) -> list[str]:
        found = pages.paginate(PaginationConfig={"PageSize": 2}, **asked)
        return [one["TrainingJobName"] for page in found for one in page["TrainingJobSummaries"]]

    assert names() == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
    assert names(SortBy="Name", SortOrder="Ascending", NameContains="JOB") == [f"job-{n}" for n in range(5)]
    assert names(StatusEquals="Failed") == ["job-2"]
    middle = asking.describe("job-2")["CreationTime"]
    assert names(CreationTimeAfter=middle, SortBy="Name") == ["job-4", "job-3"]
    forged = [base64.b64encode(text).decode() for text in (b"null", b"5", b"[1]", b"[{},1]", b'["a","b"]', b"[" * 5000)]
    for token in ("nonsense", "é", *forged):
        code, _ = asking.refusal("list_training_jobs", NextToken=token)
        assert code == "ValidationException", token


def test_tags_stay_with_what_they_are_of(asking: Asking) -> None:
    arn = asking.job(NAME, Tags=[{"Key": "team", "Value": "risk"}])["TrainingJobArn"]
    asking.client.add_tags(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "fraud"}])
    asking.client.delete_tags(ResourceArn=arn, TagKeys=["cost", "unknown"])
    assert asking.client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "fraud"}]
    assert "Tags" not in asking.describe(NAME)


def _refused(asking: Asking, name: str, *image: str, **more: Any) -> tuple[str, str]:
    class Refusing:
        def ask(self, **_: object) -> None:
            asking.job(name, *image, **more)

    return Asking(asking.plane, Refusing()).refusal("ask")


def _script() -> dict[str, str]:
    archive = '"s3://acme/source/sourcedir.tar.gz"'
    return {"n": "3", "sagemaker_program": '"train.py"', "sagemaker_submit_directory": archive}


def _put_script(asking: Asking, files: dict[str, str]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            if text.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, text[2:]
                archive.addfile(member)
            else:
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
    client = asking.plane.client("s3")
    client.put_object(Bucket="acme", Key="source/sourcedir.tar.gz", Body=packed.getvalue())
