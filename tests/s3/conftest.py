"""Our S3 face over real HTTP, and boto3 as people have it: with nothing set but where it is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from sagespec.s3.app import S3App
from sagespec.web.server import Server
from tests.ports import free_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the buckets."""
    return tmp_path_factory.mktemp("project") / ".sagespec" / "s3"


@pytest.fixture(scope="session")
def url(root: Path) -> Iterator[str]:
    server = Server(S3App(root), "127.0.0.1", [free_port()])
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def s3(url: str) -> S3Client:
    return client(url)


@pytest.fixture
def bucket(s3: S3Client) -> str:
    name = f"test-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name)
    return name


def client(url: str) -> S3Client:
    session = boto3.session.Session("key", "secret", region_name="us-east-1")
    return session.client("s3", endpoint_url=url)


def code_of(error: Exception) -> tuple[str, int]:
    """S3's code of a botocore error, and the status."""
    response = getattr(error, "response", {})
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
