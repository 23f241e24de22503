"""How requests and answers are written, in the protocols of AWS."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sagespec.api.errors import ApiError
from sagespec.api.models import operation_of
from sagespec.api.protocols.cbor import _Reader, encoded
from sagespec.api.validation import check
from tests.planes import Plane

JOB: dict[str, Any] = {
    "TrainingJobName": "churn",
    "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "x"},
    "RoleArn": "arn:aws:iam::000000000000:role/sagespec",
    "OutputDataConfig": {"S3OutputPath": "s3://sagespec/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


def tag(resource: str) -> bytes:
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:{resource}"
    return json.dumps({"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]}).encode()


PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


def problem_of(name: str, request: dict[str, Any]) -> str:
    operation = operation_of("sagemaker", name)
    assert operation
    try:
        check(operation, request)
    except ApiError as problem:
        return f"{problem.code}: {problem.message}"
    return ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"SomethingNewer": 1}, ""),
        ({"ResourceConfig": JOB["ResourceConfig"] | {"InstanceType": "ml.z99.metal"}}, ""),
        (
            {"TrainingJobName": "a_b"},
            "ValidationException: 1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy "
            f"constraint: Member must satisfy regular expression pattern: {PATTERN}",
        ),
        (
            {"TrainingJobName": "a" * 64},
            f"ValidationException: 1 validation error detected: Value '{'a' * 64}' at 'trainingJobName' failed to "
            "satisfy constraint: Member must have length less than or equal to 63",
        ),
        (
            {"RoleArn": None},
            "ValidationException: 1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Fle"}},
            "ValidationException: 1 validation error detected: Value 'Fle' at "
            "'algorithmSpecification.trainingInputMode' failed to satisfy constraint: Member must satisfy enum value "
            "set: [Pipe, File, FastFile]",
        ),
        (
            {"HyperParameters": {"eta": "x" * 2501}},
            f"ValidationException: 1 validation error detected: Value '{'x' * 250}…' at 'hyperParameters' failed to "
            "satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to "
            "2500]",
        ),
        ({"TrainingJobName": ["a"]}, "SerializationException: TrainingJobName must be a string, not ['a']"),
        ({"HyperParameters": []}, "SerializationException: HyperParameters must be a map, not []"),
        ({"HyperParameters": {"a": 1}}, "SerializationException: HyperParameters.a must be a string, not 1"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_with_a_request_is_said_in_sagemakers_words(changes: dict[str, Any], text: str) -> None:
    request = {name: value for name, value in (JOB | changes).items() if value is not None}
    assert problem_of("CreateTrainingJob", request) == text


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = problem_of("CreateEndpointConfig", {"EndpointConfigName": "-", "ProductionVariants": [{"ModelName": "?"}]})
    assert text.startswith("ValidationException: 3 validation errors detected: ")
    assert "Value '?' at 'productionVariants.1.member.modelName' failed" in text


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1, 10**400, "2026-01-01", True, {}])
def test_a_time_is_a_number_of_seconds(at: Any) -> None:
    assert problem_of("ListTrainingJobs", {"CreationTimeAfter": at}).startswith("SerializationException")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_cbor_comes_back_as_it_was(value: Any) -> None:
    assert _Reader(encoded(value)).item() == value


@given(st.binary(max_size=60))
def test_bytes_that_are_no_cbor_are_refused_and_nothing_else(data: bytes) -> None:
    with suppress(ValueError, IndexError, KeyError, TypeError):
        _Reader(data).item()


def send(plane: Plane, headers: dict[str, str], body: bytes, path: str = "/") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(plane.url + path, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"X-Amz-Target": "SageMaker.ListModels"}, b"{", "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b"[]", "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b"[" * 100_000, "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b"\xff", "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b'{"NameContains": "\\ud800"}', "SerializationException"),
        ({"X-Amz-Target": "SageMaker.AddTags"}, tag("training-job/../../../x"), "ValidationException"),
        ({"X-Amz-Target": "SageMaker.AddTags"}, tag("training-job/a\0b"), "ValidationException"),
        ({"X-Amz-Target": "SageMaker.NoSuchThing"}, b"{}", "UnknownOperationException"),
        ({"X-Amz-Target": "SageMaker."}, b"{}", "UnknownOperationException"),
        ({"X-Amz-Target": "SageMaker.CreateTransformJob"}, b"{}", "ValidationException"),
        ({"X-Amz-Target": "Elsewhere.List"}, b"{}", "UnknownOperationException"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"Action=NoSuchThing", "UnknownOperationException"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"Action=GetRole", "ValidationException"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=&" * 5000, "MalformedQueryString"),
        ({"smithy-protocol": "rpc-v2-cbor"}, b"\xbf\x9f", "UnknownOperationException"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_whatever_is_sent_is_answered_with_a_reason(
    open_plane: Plane, headers: dict[str, str], body: bytes, code: str
) -> None:
    status, _, text = send(open_plane, {"Content-Type": "application/x-amz-json-1.1", **headers}, body)
    assert code in text.decode(errors="replace")
    assert 400 <= status < 500
    assert b"Traceback" not in text
    assert open_plane.told == []


def test_a_body_that_is_too_large_is_not_read(open_plane: Plane) -> None:
    place = urlsplit(open_plane.url)
    head = f"POST / HTTP/1.1\r\nHost: {place.netloc}\r\nX-Amz-Target: SageMaker.ListModels\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {10 * 2**20 + 1}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_monitoring_is_answered_in_all_its_protocols(open_plane: Plane) -> None:
    service, name = "GraniteServiceVersion20100801", "ListMetrics"
    path = f"/service/{service}/operation/{name}"
    status, headers, body = send(open_plane, {"smithy-protocol": "rpc-v2-cbor"}, encoded({}), path)
    assert (status, headers["smithy-protocol"], _Reader(body).item()) == (200, "rpc-v2-cbor", {"Metrics": []})
    json_headers = {"X-Amz-Target": f"{service}.{name}", "Content-Type": "application/x-amz-json-1.0"}
    status, headers, body = send(open_plane, json_headers, b"{}")
    assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/x-amz-json-1.0", {"Metrics": []})


def test_a_bug_of_ours_is_told_with_its_place_and_no_traceback_to_the_client(plane: Plane) -> None:
    plane.listening.service.snapshots._look = lambda: 1 / 0  # type: ignore[assignment, return-value]
    with pytest.raises(ClientError) as failed:
        plane.client("logs").describe_log_groups()
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    (told,) = plane.told
    assert told.startswith("Logs_20140328.DescribeLogGroups failed: ZeroDivisionError('division by zero') at ")
    assert "test_protocols.py:" in told


def test_times_are_as_the_client_reads_them(plane: Plane) -> None:
    role = plane.client("iam").get_role(RoleName="x")["Role"]
    assert role["CreateDate"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_read_only_creates_nothing(read_only_plane: Plane) -> None:
    for service, operation, request in (
        ("sagemaker", "create_training_job", JOB),
        ("sagemaker", "delete_model", {"ModelName": "x"}),
        ("s3", "create_bucket", {"Bucket": "data"}),
    ):
        with pytest.raises(ClientError, match="--read-only"):
            getattr(read_only_plane.client(service), operation)(**request)
    assert read_only_plane.client("s3").list_buckets()["Buckets"] == []
