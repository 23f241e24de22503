"""Keys that a disk cannot have, or not beside others: S3 keeps them all, and so do we."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.s3.test_objects import read, refused

ODD = [
    "dir/",
    "dir/x",
    "dir",
    "a//b",
    "/a",
    "a/./b",
    "a/../b",
    "../../out",
    "..",
    ".",
    "x" * 256,
    "y" * 1024,
    "é" * 200,
    "ü ?&=+%20#'\"\\*.csv",
    "日本/語",
    "emoji-😀",
    "tab\tand\x01control",
    "line\nbreak",
    ".sagespec-mine",
    ".hidden",
    "<&>",
    "trailing ",
    "-rf",
    "nul\0byte",
]


def test_all_kinds_of_keys_live_side_by_side(s3: Any, bucket: str, root: Path) -> None:
    for number, key in enumerate(ODD):
        s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode(), Metadata={"number": str(number)})

    listed = [one["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3}) for one in page["Contents"]]  # fmt: skip  # noqa: E501

    assert listed == sorted(ODD, key=str.encode)
    for number, key in enumerate(ODD):
        got = s3.get_object(Bucket=bucket, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (str(number).encode(), {"number": str(number)})
    assert not (root / "out").exists()
    assert not (root.parent / "out").exists()
    for key in ODD:
        s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert list((root / bucket).iterdir()) == []


@pytest.mark.parametrize("order", [["a", "a/b", "a/b/c"], ["a/b/c", "a/b", "a"], ["a/b", "a/b/c", "a"]])
def test_a_key_may_be_a_folder_of_another_in_whatever_order_they_come(s3: Any, bucket: str, order: list[str]) -> None:
    for key in order:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in order:
        assert read(s3, bucket, key) == key.encode()
        s3.put_object(Bucket=bucket, Key=key, Body=b"again " + key.encode())
    for key in order:
        assert read(s3, bucket, key) == b"again " + key.encode()
    for gone in order:
        s3.delete_object(Bucket=bucket, Key=gone)
        assert refused(s3.get_object, Bucket=bucket, Key=gone) == ("NoSuchKey", 404)
        left = sorted(set(order[order.index(gone) + 1 :]))
        assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])] == left


def test_a_key_above_1024_bytes_is_refused(s3: Any, bucket: str) -> None:
    assert refused(s3.put_object, Bucket=bucket, Key="é" * 513, Body=b"") == ("KeyTooLongError", 400)


def test_links_are_no_objects_and_are_never_followed(s3: Any, bucket: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (root / bucket / "folder").symlink_to(tmp_path)
    (root / bucket / "file").symlink_to(tmp_path / "secret")
    (root / "linked-bucket").symlink_to(tmp_path)

    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    for prefix in ("folder/", "folder/s", "fol", "file"):
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    for key in ("folder/secret", "file"):
        assert refused(s3.get_object, Bucket=bucket, Key=key) == ("NoSuchKey", 404)
        s3.delete_object(Bucket=bucket, Key=key)
        s3.put_object(Bucket=bucket, Key=key, Body=b"mine")
        assert read(s3, bucket, key) == b"mine"
    assert (tmp_path / "secret").read_text() == "secret"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert refused(s3.list_objects_v2, Bucket="linked-bucket") == ("NoSuchBucket", 404)
    (root / "linked-bucket").unlink()


@pytest.mark.parametrize("path", ["/%ff", "/acme/%ff", "/acme/a?prefix=%ff"])
def test_what_is_not_utf_8_is_refused(url: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert (answer.status, b"<Code>InvalidURI</Code>" in answer.read()) == (400, True)
    connection.close()


def test_a_path_with_dots_is_a_key(url: str, s3: Any, bucket: str, root: Path) -> None:
    """As a client that does not tidy paths up sends it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for path in ("../../../evil", "..%2f..%2fevil", "x/../../evil"):
        connection.request("PUT", f"/{bucket}/{path}", body=b"evil")
        assert connection.getresponse().read() == b""
        assert read(s3, bucket, path.replace("%2f", "/")) == b"evil"
    assert not list(root.parent.rglob("evil"))
    connection.request("GET", f"/{quote(bucket)}/../.about/{bucket}/made")
    answer = connection.getresponse()
    assert (answer.status, b"NoSuchKey" in answer.read()) == (404, True)
    connection.close()
