"""Files of the store that are read as objects, without a copy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sagespec.buckets.links import link, unlink
from sagespec.errors import WorldError
from tests.s3.test_objects import read, refused

KEY = "demo/churn-1/output/model.tar.gz"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "store" / "jobs" / "churn" / "1" / "model.tar.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a model")
    return file


def test_a_linked_file_is_read_listed_and_looked_at(
    s3: Any, bucket: str, root: Path, tmp_path: Path, model: Path
) -> None:
    checksum = hashlib.sha256(b"a model").hexdigest()
    for _ in range(2):
        link(root, bucket, KEY, model, store=tmp_path / "store", sha256=checksum)
    s3.put_object(Bucket=bucket, Key="demo/churn-1/output/other", Body=b"1")

    assert read(s3, bucket, KEY) == b"a model"
    assert read(s3, bucket, KEY, Range="bytes=2-") == b"model"
    head = s3.head_object(Bucket=bucket, Key=KEY)
    assert (head["ContentLength"], head["ETag"]) == (7, f'"{checksum[:32]}-1"')
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="demo/")["Contents"]
    assert [(one["Key"], one["Size"], one["ETag"]) for one in listed][:1] == [(KEY, 7, head["ETag"])]
    assert len(listed) == 2
    assert s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"] == [{"Prefix": "demo/"}]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": KEY})
    assert read(s3, bucket, "copy") == b"a model"
    assert list((root / bucket / "demo").rglob("model.tar.gz")) == []


def test_what_happens_to_the_key_does_not_happen_to_the_file(
    s3: Any, bucket: str, root: Path, tmp_path: Path, model: Path
) -> None:
    link(root, bucket, KEY, model, store=tmp_path / "store")
    s3.put_object_tagging(Bucket=bucket, Key=KEY, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key=KEY)["TagSet"] == [{"Key": "k", "Value": "v"}]
    assert read(s3, bucket, KEY) == b"a model"

    assert refused(s3.put_object, Bucket=bucket, Key=KEY, Body=b"", IfNoneMatch="*") == ("PreconditionFailed", 412)
    etag = s3.head_object(Bucket=bucket, Key=KEY)["ETag"]
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"mine", IfMatch=etag)
    assert read(s3, bucket, KEY) == b"mine"
    s3.delete_object(Bucket=bucket, Key=KEY)
    assert refused(s3.get_object, Bucket=bucket, Key=KEY) == ("NoSuchKey", 404)
    link(root, bucket, KEY, model, store=tmp_path / "store")
    s3.delete_object(Bucket=bucket, Key=KEY)
    assert refused(s3.get_object, Bucket=bucket, Key=KEY) == ("NoSuchKey", 404)
    link(root, bucket, KEY, model, store=tmp_path / "store")
    unlink(root, bucket, KEY)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert model.read_bytes() == b"a model"
    s3.delete_bucket(Bucket=bucket)


def test_a_link_to_what_is_gone_is_no_object(s3: Any, bucket: str, root: Path, tmp_path: Path, model: Path) -> None:
    link(root, bucket, KEY, model, store=tmp_path / "store")
    model.unlink()

    assert refused(s3.get_object, Bucket=bucket, Key=KEY) == ("NoSuchKey", 404)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_file_outside_of_the_store_is_not_linked(bucket: str, root: Path, tmp_path: Path, model: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (model.parent / "way-out").symlink_to(tmp_path / "secret")
    for target in (tmp_path / "secret", model.parent / "way-out", model / ".." / ".." / ".." / ".." / ".." / "secret"):
        with pytest.raises(WorldError, match="is not in the store"):
            link(root, bucket, KEY, target, store=tmp_path / "store")
