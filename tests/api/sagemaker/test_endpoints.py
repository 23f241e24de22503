"""Models, configs and endpoints, by an unmodified boto3."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from sagespec.api.sagemaker.arns import records_of
from sagespec.api.sagemaker.records import KeptEndpoint
from sagespec.errors import WorldError
from tests.api.sagemaker.asking import XGBOOST, Asking

NAME = "churn-2026-11-29-12-30-05-575"


@pytest.fixture
def trained(working: Asking) -> Asking:
    """With a trained job, and its model."""
    working.job(NAME)
    found = working.ended(NAME)
    assert found["TrainingJobStatus"] == "Completed", found
    working.model("m", found["ModelArtifacts"]["S3ModelArtifacts"])
    return working


def answer(asking: Asking, endpoint: str, **more: str) -> Any:
    runtime = asking.plane.client("sagemaker-runtime")
    return runtime.invoke_endpoint(EndpointName=endpoint, Body=b"0.9,0.9", ContentType="text/csv", **more)


def weights(found: Any) -> dict[str, tuple[float, float, int, int]]:
    members = ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")
    return {one["VariantName"]: tuple(one[member] for member in members) for one in found["ProductionVariants"]}


def test_endpoint_is_made_changed_weighted_and_deleted(trained: Asking) -> None:
    trained.config("one", A="m")
    trained.config("two", A={"ModelName": "m", "InitialVariantWeight": 3}, B="m")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    assert trained.spec("endpoint-churn.yaml") == (
        "# Written by sagespec api for CreateEndpoint churn. Yours to edit.\n"
        "# config one\n"
        "apiVersion: sagespec/v1\nkind: Endpoint\nname: churn\nvariants:\n  - {name: A, model: churn@1}\n"
    )
    assert trained.endpoint("churn")["EndpointStatus"] == "Creating"
    found = trained.settled("churn")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "one"), found
    assert weights(found) == {"A": (1, 1, 1, 1)}
    assert float(answer(trained, "churn")["Body"].read()) > 0.5

    trained.client.update_endpoint(EndpointName="churn", EndpointConfigName="two")
    under_way = trained.endpoint("churn")
    assert (under_way["EndpointStatus"], under_way["EndpointConfigName"]) == ("Updating", "one"), "what serves"
    code, text = trained.refusal("update_endpoint", EndpointName="churn", EndpointConfigName="one")
    assert (code, text.partition(" endpoint")[0]) == ("ValidationException", "Cannot update in-progress")
    found = trained.settled("churn")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "two")
    assert weights(found) == {"A": (3, 3, 1, 1), "B": (1, 1, 1, 1)}
    assert answer(trained, "churn", TargetVariant="B")["InvokedProductionVariant"] == "B"

    trained.client.update_endpoint_weights_and_capacities(
        EndpointName="churn", DesiredWeightsAndCapacities=[{"VariantName": "A", "DesiredWeight": 0.5}]
    )
    assert weights(trained.settled("churn"))["A"] == (0.5, 0.5, 1, 1)
    trained.client.update_endpoint(EndpointName="churn", EndpointConfigName="two", RetainAllVariantProperties=True)
    assert weights(trained.settled("churn"))["A"] == (0.5, 0.5, 1, 1)

    trained.client.delete_endpoint_config(EndpointConfigName="two")
    trained.client.delete_endpoint(EndpointName="churn")
    trained.gone("churn")
    assert trained.files() == ["specs/notebook/churn.yaml"]
    project = trained.plane.listening.service.project
    assert [revision.status.value for revision in project.history("churn")][-1] == "removed"
    assert not project.plan().actions

    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    assert trained.settled("churn")["EndpointStatus"] == "InService", "the name is free again"


def test_archive_of_a_bucket_is_kept_in_the_store_and_served_from_there(asking: Asking) -> None:
    _put_model(asking, b"a model")
    asking.model("trees-2026-11-29-12-30-05-575", "s3://acme/broken/model.tar.gz")
    asking.config("c", A="trees-2026-11-29-12-30-05-575")
    asking.client.create_endpoint(EndpointName="trees", EndpointConfigName="c")
    _, _, said, *document = asking.spec("endpoint-trees.yaml").splitlines()
    found = re.fullmatch(r"# (store://(trees-[0-9a-f]{12}\.tar\.gz)) is s3://acme/broken/model\.tar\.gz", said)
    assert found, said
    assert f"  - {{name: A, model: '{found[1]}', algorithm: xgboost}}" in document
    [stored] = (asking.plane.root / ".sagespec" / "store").rglob(found[2])
    shutil.rmtree(asking.plane.root / ".sagespec" / "s3")
    project = asking.plane.listening.service.project
    assert not project.plan().refused
    project.validate()
    stored.unlink()
    with pytest.raises(WorldError, match=f"there is no {found[2]} among the archives of"):
        project.plan()


def test_protected_endpoint_is_not_deleted(trained: Asking) -> None:
    trained.config("one", A="m")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    file = trained.specs / "endpoint-churn.yaml"
    file.write_text(f"{file.read_text()}protect: true\n")
    code, text = trained.refusal("delete_endpoint", EndpointName="churn")
    assert (code, text.partition(",")[0]) == ("ValidationException", "endpoint/churn is protected")
    assert file.exists()
    file.write_text(file.read_text().replace("protect: true\n", ""))


def test_what_is_not_there_is_said_in_the_words_that_clients_look_for(asking: Asking) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    words = {
        ("describe_endpoint", "EndpointName"): f'Could not find endpoint "{arn}:endpoint/nope".',
        ("delete_endpoint", "EndpointName"): f'Could not find endpoint "{arn}:endpoint/nope".',
        ("describe_endpoint_config", "EndpointConfigName"): (
            f'Could not find endpoint configuration "{arn}:endpoint-config/nope".'
        ),
        ("describe_model", "ModelName"): f'Could not find model "{arn}:model/nope".',
        ("delete_model", "ModelName"): f'Could not find model "{arn}:model/nope".',
    }
    for (operation, member), text in words.items():
        assert asking.refusal(operation, **{member: "nope"}) == ("ValidationException", text)
    both = {"EndpointName": "e", "EndpointConfigName": "nope"}
    assert asking.refusal("create_endpoint", **both)[1].startswith("Could not find endpoint configuration")


def test_model_needs_its_data(asking: Asking) -> None:
    def refused(uri: str) -> str:
        container = {"Image": XGBOOST, "ModelDataUrl": uri}
        given = {
            "ModelName": "m",
            "PrimaryContainer": container,
            "ExecutionRoleArn": "arn:aws:iam::000000000000:role/r",
        }
        return asking.refusal("create_model", **given)[1]

    assert refused("s3://acme/none/model.tar.gz").startswith("Could not find model data at s3://acme/none/model.tar.gz")
    by_https = refused("https://s3-us-east-1.amazonaws.com/acme/none/model.tar.gz")
    assert by_https.startswith("Could not find model data at s3://acme/none/model.tar.gz")
    asking.job(NAME)
    uri = asking.describe(NAME)["ModelArtifacts"]["S3ModelArtifacts"]
    assert refused(uri) == f"Could not find model data at {uri}: the training job {NAME} is InProgress"


def test_endpoint_of_a_person_is_left_alone(trained: Asking) -> None:
    trained.config("one", A="m")
    mine = "apiVersion: sagespec/v1\nkind: Endpoint\nname: churn\nvariants: [{name: stable, model: churn@1}]\n"
    (trained.plane.root / "specs" / "mine.yaml").write_text(mine)
    both = {"EndpointName": "churn", "EndpointConfigName": "one"}
    assert trained.refusal("create_endpoint", **both)[1].startswith("Cannot create already existing endpoint")
    assert trained.files() == ["specs/mine.yaml", "specs/notebook/churn.yaml"]


def test_update_of_a_file_that_was_made_someones_own_is_refused(trained: Asking) -> None:
    trained.config("one", A="m")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    trained.settled("churn")
    file = trained.specs / "endpoint-churn.yaml"
    file.write_text(file.read_text().partition("\n")[2])
    code, text = trained.refusal("update_endpoint", EndpointName="churn", EndpointConfigName="one")
    assert (code, text) == (
        "ValidationException",
        "the spec of endpoint/churn is not one that sagespec api has written: change it there",
    )


def test_what_a_kill_left_of_an_update_is_made_good_by_the_next_look(trained: Asking) -> None:
    trained.config("one", A="m")
    trained.config("two", A={"ModelName": "m", "InitialVariantWeight": 3})
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    trained.settled("churn")
    records = records_of(trained.plane.listening.service)
    kept = records.read(KeptEndpoint, "churn")
    assert kept
    before = trained.spec("endpoint-churn.yaml")
    trained.client.update_endpoint(EndpointName="churn", EndpointConfigName="two")
    after = trained.spec("endpoint-churn.yaml")
    (trained.specs / "endpoint-churn.yaml").write_text(before)
    records.change(KeptEndpoint, "churn", lambda kept: replace(kept, is_written=False))
    trained.endpoint("churn")
    assert trained.spec("endpoint-churn.yaml") == after
    assert trained.settled("churn")["EndpointConfigName"] == "two"


def test_delete_that_a_kill_has_cut_short_is_carried_out(trained: Asking) -> None:
    trained.config("one", A="m")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    trained.settled("churn")
    records = records_of(trained.plane.listening.service)
    records.change(KeptEndpoint, "churn", lambda kept: replace(kept, deleting_since=kept.modified_at))
    trained.gone("churn")
    assert trained.files() == ["specs/notebook/churn.yaml"]


def test_failed_update_keeps_what_serves_and_says_why(trained: Asking) -> None:
    _put_model(trained, b"no model at all")
    trained.model("broken", "s3://acme/broken/model.tar.gz")
    trained.config("good", A="m")
    trained.config("bad", A="broken")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="good")
    trained.settled("churn")
    trained.client.update_endpoint(EndpointName="churn", EndpointConfigName="bad")
    found = trained.settled("churn")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "good"), found
    assert "exited with code" in found["FailureReason"]
    assert answer(trained, "churn")["InvokedProductionVariant"] == "A"
    trained.client.update_endpoint(EndpointName="churn", EndpointConfigName="good")
    found = trained.settled("churn")
    assert (found["EndpointStatus"], "FailureReason" in found) == ("InService", False)


def test_update_to_the_very_config_that_failed_is_another_try(trained: Asking) -> None:
    _put_model(trained, b"no model at all")
    trained.model("broken", "s3://acme/broken/model.tar.gz")
    trained.config("good", A="m")
    trained.config("bad", A="broken")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="good")
    trained.settled("churn")
    history = trained.plane.listening.service.project.history
    for tries in (1, 2):
        trained.client.update_endpoint(EndpointName="churn", EndpointConfigName="bad")
        assert trained.endpoint("churn")["EndpointStatus"] == "Updating"
        found = trained.settled("churn")
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "good"), found
        assert "exited with code" in found["FailureReason"]
        assert [revision.status.value for revision in history("churn")] == ["live", *["failed"] * tries]
    store = trained.plane.root / ".sagespec" / "store"
    assert not list(store.rglob("retries/*.json")), "it is over"


def test_endpoint_that_failed_may_be_deleted_and_made_again(trained: Asking) -> None:
    _put_model(trained, b"no model at all")
    trained.model("broken", "s3://acme/broken/model.tar.gz")
    trained.config("bad", A="broken")
    for _ in range(2):
        trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="bad")
        assert trained.endpoint("churn")["EndpointStatus"] == "Creating"
        found = trained.settled("churn")
        assert found["EndpointStatus"] == "Failed"
        assert "exited with code" in found["FailureReason"]
        trained.client.delete_endpoint(EndpointName="churn")
        trained.gone("churn")
    revisions = trained.plane.listening.service.project.history("churn")
    assert [revision.status.value for revision in revisions] == ["failed", "removed", "failed", "removed"]


def test_endpoint_is_in_service_although_another_spec_is_wrong(trained: Asking) -> None:
    trained.config("good", A="m")
    trained.client.create_endpoint(EndpointName="churn", EndpointConfigName="good")
    before = trained.settled("churn")
    (trained.plane.root / "specs" / "wrong.yaml").write_text("kind: [")
    trained.plane.listening.service.snapshots.forget()
    found = trained.endpoint("churn")
    assert found["EndpointStatus"] == "InService"
    assert weights(found) == weights(before)
    assert trained.describe(NAME)["TrainingJobStatus"] == "Completed"
    (trained.plane.root / "specs" / "wrong.yaml").unlink()


def _put_model(asking: Asking, content: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("xgboost-model")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    client = asking.plane.client("s3")
    client.put_object(Bucket="acme", Key="broken/model.tar.gz", Body=packed.getvalue())
