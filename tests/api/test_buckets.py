"""Who may use the buckets: the same key, in S3's words; links that carry their signature, while they last."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.planes import Plane


@pytest.fixture
def s3(plane: Plane) -> Any:
    client = plane.client("s3")
    client.create_bucket(Bucket="data")
    return client


def test_an_object_comes_back_as_it_was(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="a b/ü+&.csv", Body=b"1,2\n" * 1000)
    assert s3.get_object(Bucket="data", Key="a b/ü+&.csv")["Body"].read() == b"1,2\n" * 1000
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="data")["Contents"]] == ["a b/ü+&.csv"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "InvalidAccessKeyId"),
    ],
)
def test_another_key_is_refused_in_s3s_words(plane: Plane, s3: Any, given: dict[str, str], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        plane.client("s3", **given).list_buckets()
    assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as refused:
        plane.client("s3", **given).put_object(Bucket="data", Key="x", Body=b"x")
    assert "Contents" not in s3.list_objects_v2(Bucket="data")


def test_who_does_not_sign_is_refused(plane: Plane, s3: Any) -> None:
    assert status_of("GET", f"{plane.url}/data?list-type=2") == 403
    assert status_of("PUT", f"{plane.url}/data/x", b"x") == 403
    assert "Contents" not in s3.list_objects_v2(Bucket="data")


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_a_presigned_link_is_enough_for_what_it_was_made_for(plane: Plane, s3: Any, version: str | None) -> None:
    s3 = plane.client("s3", config=Config(signature_version=version)) if version else s3
    put = s3.generate_presigned_url("put_object", {"Bucket": "data", "Key": "k"}, ExpiresIn=60)
    assert status_of("PUT", put, b"content") == 200
    get = s3.generate_presigned_url("get_object", {"Bucket": "data", "Key": "k"}, ExpiresIn=60)
    assert urllib.request.urlopen(get).read() == b"content"
    assert status_of("DELETE", get) == 403
    assert status_of("GET", get.replace("/data/k?", "/data/other?")) == 403
    assert status_of("GET", re.sub(r"Expires=(\d+)", r"Expires=\g<1>0", get)) == 403


def status_of(method: str, url: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": ""} if body else {}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
