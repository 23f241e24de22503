"""Secrets in Secrets Manager and in parameters, asked from moto's server as AWS is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest

from sagespec.errors import WorldError
from sagespec.secrets.secrets import LOOK_EVERY_SECONDS, Secrets
from sagespec.spec.secrets import SecretSource
from tests.contracts.servers import S3Server, s3_server
from tests.secrets.test_asking import SALT, Clock

pytestmark = pytest.mark.s3
DB = SecretSource("aws", "acme/churn/db", "url")
API = SecretSource("ssm", "/acme/churn/api")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server("moto") as found:
        yield found


@pytest.fixture
def aws(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    server.activate(monkeypatch, AWS_DEFAULT_REGION="eu-central-1")
    return boto3.client


def secrets_at(clock: Clock, **sources: SecretSource) -> Secrets:
    return Secrets(sources, Path(), lambda: SALT, now=clock)


def test_a_field_of_a_secret_is_opened_and_its_rotation_is_seen_after_a_while(aws: Any) -> None:
    manager, clock = aws("secretsmanager"), Clock()
    manager.create_secret(Name="acme/churn/db", SecretString=json.dumps({"url": "postgres://one", "port": 5432}))
    secrets = secrets_at(clock, db=DB, port=SecretSource("aws", "acme/churn/db", "port"))
    assert [secrets.open("db"), secrets.open("port")] == ["postgres://one", "5432"]
    before = secrets.version("db")
    assert before == secrets_at(clock, db=DB).version("db"), "whoever asks for the version alone gets the same"
    manager.put_secret_value(SecretId="acme/churn/db", SecretString=json.dumps({"url": "postgres://two"}))
    assert secrets.version("db") == before
    clock.seconds = LOOK_EVERY_SECONDS + 1
    assert secrets.version("db") != before
    assert secrets.open("db") == "postgres://two"


def test_a_parameter_is_opened_decrypted_and_told_apart_by_its_version(aws: Any) -> None:
    parameters, clock = aws("ssm"), Clock()
    parameters.put_parameter(Name="/acme/churn/api", Value="first-key", Type="SecureString")
    secrets = secrets_at(clock, api=API)
    before = secrets.version("api")
    assert secrets.open("api") == "first-key"
    parameters.put_parameter(Name="/acme/churn/api", Value="second-key", Type="SecureString", Overwrite=True)
    clock.seconds = LOOK_EVERY_SECONDS + 1
    assert secrets.version("api") != before
    assert secrets.open("api") == "second-key"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (SecretSource("aws", "acme/not/there"), "aws:acme/not/there does not exist"),
        (SecretSource("ssm", "/acme/not/there"), "ssm:/acme/not/there does not exist"),
        (SecretSource("aws", "acme/plain", "url"), "aws:acme/plain has no field url"),
        (SecretSource("aws", "acme/binary"), "aws:acme/binary holds no text"),
    ],
    ids=str,
)
def test_what_is_not_there_is_named(aws: Any, source: SecretSource, what: str) -> None:
    manager = aws("secretsmanager")
    for name, value in (("plain", {"SecretString": "canary123"}), ("binary", {"SecretBinary": b"canary123"})):
        with suppress(manager.exceptions.ResourceExistsException):
            manager.create_secret(Name=f"acme/{name}", **value)
    secrets = secrets_at(Clock(), db=source)
    with pytest.raises(WorldError) as error:
        secrets.open("db")
    assert error.value.problems[0].what == what
    assert "canary" not in str(error.value)


def test_without_a_region_or_credentials_that_is_said(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    secrets = secrets_at(Clock(), db=DB)
    assert secrets.version("db") == ""
    assert secrets.unasked == {"db": "aws:acme/churn/db#url: no AWS region is set"}
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(WorldError, match="Unable to locate credentials"):
        secrets_at(Clock(), db=DB).open("db")


def test_a_service_that_does_not_answer_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch, aws: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(WorldError, match="AWS does not answer"):
        secrets_at(Clock(), db=DB).open("db")
