"""Objects through boto3: what is put is read back as it was, with all that was said of it, under S3's conditions."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.s3.conftest import code_of


def refused(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return code_of(raised.value)


def read(s3: Any, bucket: str, key: str, **arguments: Any) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read())


def test_an_object_is_read_back_with_all_that_was_said_of_it(s3: Any, bucket: str, root: Path) -> None:
    put = s3.put_object(
        Bucket=bucket,
        Key="churn/train.csv",
        Body=b"1,2",
        ContentType="text/csv",
        CacheControl="no-store",
        ContentDisposition="attachment",
        Metadata={"made-by": "me", "a_b": "under"},
        Tagging="team=a&cost=b%20c",
    )

    got = s3.get_object(Bucket=bucket, Key="churn/train.csv")
    head = s3.head_object(Bucket=bucket, Key="churn/train.csv")
    assert got["Body"].read() == b"1,2"
    for found in (got, head):
        assert found["ETag"] == put["ETag"] == f'"{hashlib.md5(b"1,2", usedforsecurity=False).hexdigest()}"'
        assert (found["ContentType"], found["CacheControl"]) == ("text/csv", "no-store")
        assert (found["ContentDisposition"], found["ContentLength"]) == ("attachment", 3)
        assert found["Metadata"] == {"made-by": "me", "a_b": "under"}
        assert abs(found["LastModified"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert got["TagCount"] == 2
    assert s3.get_object_tagging(Bucket=bucket, Key="churn/train.csv")["TagSet"] == [
        {"Key": "team", "Value": "a"},
        {"Key": "cost", "Value": "b c"},
    ]
    assert (root / bucket / "churn" / "train.csv").read_bytes() == b"1,2"


def test_what_is_not_there_is_not_found(s3: Any, bucket: str) -> None:
    assert refused(s3.get_object, Bucket=bucket, Key="none") == ("NoSuchKey", 404)
    assert refused(s3.head_object, Bucket=bucket, Key="none") == ("404", 404)
    assert refused(s3.get_object, Bucket="no-such-bucket", Key="a") == ("NoSuchBucket", 404)
    assert refused(s3.put_object, Bucket="no-such-bucket", Key="a", Body=b"") == ("NoSuchBucket", 404)
    assert refused(s3.get_object_tagging, Bucket=bucket, Key="none") == ("NoSuchKey", 404)
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_ranges_are_those_of_http(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="digits", Body=b"0123456789")

    wanted = {"bytes=0-0": b"0", "bytes=3-5": b"345", "bytes=7-": b"789", "bytes=-2": b"89", "bytes=5-99": b"56789"}
    assert {asked: read(s3, bucket, "digits", Range=asked) for asked in wanted} == wanted
    got = s3.get_object(Bucket=bucket, Key="digits", Range="bytes=3-5")
    got["Body"].close()
    assert (got["ContentRange"], got["ResponseMetadata"]["HTTPStatusCode"]) == ("bytes 3-5/10", 206)
    assert read(s3, bucket, "digits", Range="bytes=5-3") == b"0123456789"  # no range: all of it
    assert refused(s3.get_object, Bucket=bucket, Key="digits", Range="bytes=10-") == ("InvalidRange", 416)
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert refused(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-") == ("InvalidRange", 416)
    assert read(s3, bucket, "empty") == b""


def test_reads_have_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["ETag"]
    before, after = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    where = {"Bucket": bucket, "Key": "a"}

    assert read(s3, bucket, "a", IfMatch=etag) == b"1"
    assert refused(s3.get_object, **where, IfMatch='"other"') == ("PreconditionFailed", 412)
    assert read(s3, bucket, "a", IfNoneMatch='"other"') == b"1"
    assert refused(s3.get_object, **where, IfNoneMatch=etag) == ("304", 304)
    assert refused(s3.get_object, **where, IfModifiedSince=after) == ("304", 304)
    assert read(s3, bucket, "a", IfModifiedSince=before) == b"1"
    assert refused(s3.get_object, **where, IfUnmodifiedSince=before) == ("PreconditionFailed", 412)
    assert read(s3, bucket, "a", IfMatch=etag, IfUnmodifiedSince=before) == b"1"  # the ETag counts


def test_writes_and_deletes_have_conditions(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "a"}
    first = s3.put_object(**where, Body=b"1", IfNoneMatch="*")["ETag"]

    assert refused(s3.put_object, **where, Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert read(s3, bucket, "a") == b"1"
    second = s3.put_object(**where, Body=b"2", IfMatch=first)["ETag"]
    assert refused(s3.put_object, **where, Body=b"3", IfMatch=first) == ("PreconditionFailed", 412)
    assert refused(s3.delete_object, **where, IfMatch=first) == ("PreconditionFailed", 412)
    assert read(s3, bucket, "a") == b"2"
    s3.delete_object(**where, IfMatch=second)
    assert refused(s3.put_object, **where, Body=b"3", IfMatch=second) == ("NoSuchKey", 404)


def test_tags_leave_the_object_as_it_is(s3: Any, bucket: str) -> None:
    """A server that takes `?tagging` for a PUT destroys the object."""
    put = s3.put_object(Bucket=bucket, Key="m", Body=b"model", ContentType="a/b", Metadata={"a": "1"})

    s3.put_object_tagging(Bucket=bucket, Key="m", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})

    got = s3.get_object(Bucket=bucket, Key="m")
    assert (got["Body"].read(), got["ETag"], got["ContentType"]) == (b"model", put["ETag"], "a/b")
    assert s3.get_object_tagging(Bucket=bucket, Key="m")["TagSet"] == [{"Key": "k", "Value": "v"}]
    s3.delete_object_tagging(Bucket=bucket, Key="m")
    assert s3.get_object_tagging(Bucket=bucket, Key="m")["TagSet"] == []
    assert read(s3, bucket, "m") == b"model"
    many = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
    assert refused(s3.put_object_tagging, Bucket=bucket, Key="m", Tagging=many) == ("BadRequest", 400)


def test_an_operation_that_is_not_known_does_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")

    calls: list[tuple[Any, dict[str, Any]]] = [
        (s3.put_object_acl, {"Key": "a", "ACL": "private"}),
        (s3.put_object_legal_hold, {"Key": "a", "LegalHold": {"Status": "ON"}}),
        (s3.get_object_attributes, {"Key": "a", "ObjectAttributes": ["ETag"]}),
        (s3.put_bucket_policy, {"Policy": "{}"}),
        (s3.delete_bucket_policy, {}),
        (s3.get_bucket_acl, {}),
        (s3.list_object_versions, {}),
    ]
    for call, arguments in calls:
        code, status = refused(call, Bucket=bucket, **arguments)
        assert (code, status) in (("NotImplemented", 501), ("MethodNotAllowed", 405))
    assert read(s3, bucket, "a") == b"1"
    assert refused(s3.get_object, Bucket=bucket, Key="a", VersionId="7") == ("NoSuchVersion", 404)


def test_copies_carry_what_was_said_unless_it_is_said_again(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="ä b/1", Body=b"1", ContentType="a/b", Metadata={"x": "y"}, Tagging="k=v")
    source = {"Bucket": bucket, "Key": "ä b/1"}

    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", ContentType="c/d",
        TaggingDirective="REPLACE", Tagging="z=1",
    )  # fmt: skip

    same, other = (s3.get_object(Bucket=bucket, Key=key) for key in ("same", "other"))
    assert (same["Body"].read(), same["ContentType"], same["Metadata"], same["TagCount"]) == (
        b"1",
        "a/b",
        {"x": "y"},
        1,
    )
    assert (other["Body"].read(), other["ContentType"], other["Metadata"]) == (b"1", "c/d", {})
    assert s3.get_object_tagging(Bucket=bucket, Key="other")["TagSet"] == [{"Key": "z", "Value": "1"}]
    onto_itself = {"Bucket": bucket, "Key": "same", "CopySource": {"Bucket": bucket, "Key": "same"}}
    assert refused(s3.copy_object, **onto_itself) == ("InvalidRequest", 400)
    s3.copy_object(**onto_itself, MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert s3.head_object(Bucket=bucket, Key="same")["Metadata"] == {"new": "1"}
    gone = {"Bucket": bucket, "Key": "gone"}
    assert refused(s3.copy_object, Bucket=bucket, Key="c", CopySource=gone) == ("NoSuchKey", 404)
    assert refused(s3.copy_object, Bucket=bucket, Key="c", CopySource=source, CopySourceIfMatch="x") == (
        "PreconditionFailed",
        412,
    )


def test_many_are_deleted_at_once(s3: Any, bucket: str, root: Path) -> None:
    keys = [*(f"deep/er/{number}" for number in range(999)), "a&b<c>"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")

    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})

    assert sorted(one["Key"] for one in answer["Deleted"]) == sorted(keys)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert list((root / bucket).iterdir()) == []
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "none"}, {"Key": "x" * 1025}], "Quiet": True})
    assert [error["Code"] for error in quiet["Errors"]] == ["KeyTooLongError"]


def test_a_file_put_into_a_bucket_by_hand_is_an_object(s3: Any, bucket: str, root: Path) -> None:
    (root / bucket / "data").mkdir()
    (root / bucket / "data" / "a.csv").write_bytes(b"1,2")

    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]

    etag = f'"{hashlib.md5(b"1,2", usedforsecurity=False).hexdigest()}"'
    assert [(one["Key"], one["Size"], one["ETag"]) for one in listed] == [("data/a.csv", 3, etag)]
    assert read(s3, bucket, "data/a.csv", IfMatch=etag) == b"1,2"
    (root / bucket / "data" / "a.csv").write_bytes(b"3,4,5")
    assert s3.head_object(Bucket=bucket, Key="data/a.csv")["ETag"] != etag


def test_a_presigned_link_may_name_the_file(s3: Any, bucket: str) -> None:
    import urllib.request

    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    said = {"Bucket": bucket, "Key": "a", "ResponseContentDisposition": 'attachment; filename="b.csv"'}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=said)) as answer:
        assert (answer.read(), answer.headers["Content-Disposition"]) == (b"1", 'attachment; filename="b.csv"')
    split = {**said, "ResponseContentDisposition": "a\r\nSet-Cookie: x=1"}
    assert refused(s3.get_object, **split) == ("InvalidArgument", 400)
