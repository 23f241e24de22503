"""Buckets through boto3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.s3.test_objects import refused


def test_a_bucket_that_is_missing_is_not_found_as_sdks_ask(s3: Any) -> None:
    """They make their bucket when the message of the 404 is exactly this."""
    with pytest.raises(ClientError, match=r"\(404\) when calling the HeadBucket operation: Not Found$"):
        s3.head_bucket(Bucket="sagemaker-us-east-1-000000000000", ExpectedBucketOwner="000000000000")


def test_what_is_missing_is_named_also_where_an_answer_has_no_body(s3: Any, bucket: str, tmp_path: Path) -> None:
    """Sample notebooks download from buckets of AWS: boto3 then asks for the object's head, and says "Not Found"."""
    with pytest.raises(ClientError, match="There is no bucket sagemaker-sample-files in this project"):
        s3.get_object(Bucket="sagemaker-sample-files", Key="datasets/iris.data")
    for place, key, named in (
        ("sagemaker-sample-files", "datasets/iris.data", "There is no bucket sagemaker-sample-files in this project"),
        (bucket, "line\nécrit", "There is no object line??crit."),
    ):
        with pytest.raises(ClientError, match=r"Not Found$") as raised:
            s3.download_file(place, key, str(tmp_path / "file"))
        headers = raised.value.response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-error-message"].startswith(named)


def test_a_bucket_is_a_folder(s3: Any, root: Path) -> None:
    s3.create_bucket(Bucket="made-here")
    s3.create_bucket(Bucket="made-here")  # as S3 has it in us-east-1

    assert (root / "made-here").is_dir()
    s3.head_bucket(Bucket="made-here", ExpectedBucketOwner="000000000000")
    assert "made-here" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket="made-here")["LocationConstraint"] is None
    s3.delete_bucket(Bucket="made-here")
    assert not (root / "made-here").exists()
    assert refused(s3.delete_bucket, Bucket="made-here") == ("NoSuchBucket", 404)


def test_a_folder_made_by_hand_is_a_bucket(s3: Any, root: Path) -> None:
    (root / "by-hand").mkdir(parents=True)

    s3.put_object(Bucket="by-hand", Key="a", Body=b"1")

    assert (root / "by-hand" / "a").read_bytes() == b"1"


def test_a_bucket_with_objects_stays(s3: Any, bucket: str, root: Path) -> None:
    for key in ("a/b", "dir/"):  # in its tree, and aside
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
        assert refused(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)
    assert not any((root / place / bucket).exists() for place in (".about", ".aside"))


@pytest.mark.parametrize("name", ["ab", "Upper", "a..b", "under_score", "-dash", "a" * 64, ".about", "a b"])
def test_names_that_s3_has_not_are_refused(url: str, name: str) -> None:
    import urllib.error
    import urllib.parse
    import urllib.request

    request = urllib.request.Request(f"{url}/{urllib.parse.quote(name)}", method="PUT")  # boto3 would not send it
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)
    with raised.value as error:
        assert error.code == 400
        assert b"<Code>InvalidBucketName</Code>" in error.read()


def test_nothing_of_a_bucket_is_left_for_one_of_the_same_name(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="k=v")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")

    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == []
