"""Names that differ in case alone: specs with both are invalid, all of them."""

from __future__ import annotations

from tests.api.sagemaker.asking import ROLE, Asking


def test_a_job_in_another_case_is_the_next_version_of_the_one_that_there_is(asking: Asking) -> None:
    for name in ("Churn", "churn", "CHURN-2026-11-29-12-30-05-575"):
        asking.job(name)

    assert asking.files() == ["specs/notebook/Churn.yaml"]
    assert asking.describe("CHURN-2026-11-29-12-30-05-575")["TrainingJobStatus"] == "InProgress"
    project = asking.plane.listening.service.project
    assert not project.plan().refused
    assert [job.address.version for job in project.status().jobs if job.address.name == "Churn"] == [1, 2, 3]


def test_also_of_a_job_that_a_person_has_written(asking: Asking) -> None:
    spec = "apiVersion: sagespec/v1\nkind: TrainingJob\nname: Tumor\nversion: 4\nalgorithm: xgboost\n"
    (asking.plane.root / "specs" / "mine.yaml").write_text(
        f"{spec}hyperparameters: {{num_round: 1}}\nchannels: {{train: 's3://acme/train.csv'}}\n"
    )
    asking.job("tumor")

    assert "name: Tumor\nversion: 5\n" in asking.spec("Tumor.yaml")


def test_an_endpoint_in_another_case_is_there_already(asking: Asking) -> None:
    asking.plane.client("s3").put_object(Bucket="acme", Key="model.tar.gz", Body=b"a model")
    asking.model("m", "s3://acme/model.tar.gz")
    asking.config("one", A="m")
    asking.client.create_endpoint(EndpointName="Churn", EndpointConfigName="one")

    code, text = asking.refusal("create_endpoint", EndpointName="churn", EndpointConfigName="one")
    assert (code, "already existing" in text) == ("ValidationException", True)
    assert asking.files() == ["specs/notebook/endpoint-Churn.yaml"]


def test_a_notebook_whose_spec_is_gone_can_be_deleted(asking: Asking) -> None:
    """As after a checkout, and as a kill leaves it that came between the two."""
    wanted = {"NotebookInstanceName": "work", "InstanceType": "ml.t3.medium", "RoleArn": ROLE}
    asking.client.create_notebook_instance(**wanted)
    code, _ = asking.refusal("create_notebook_instance", **wanted | {"NotebookInstanceName": "WORK"})
    assert code == "ValidationException"
    (asking.specs / "notebook-work.yaml").unlink()

    asking.client.delete_notebook_instance(NotebookInstanceName="work")

    asking.client.create_notebook_instance(**wanted)
    assert asking.files() == ["specs/notebook/notebook-work.yaml"]
