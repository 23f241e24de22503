"""Uploads in parts through boto3."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.s3.test_objects import read, refused

MB = 1 << 20


def md5(data: bytes) -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)


def test_a_large_file_goes_up_in_parts_and_comes_back(s3: Any, bucket: str, tmp_path: Path) -> None:
    data = secrets.token_bytes(MB) * 20
    (tmp_path / "big").write_bytes(data)

    said = {"Metadata": {"a": "1"}, "ContentType": "a/b"}
    s3.upload_file(str(tmp_path / "big"), bucket, "big", ExtraArgs=said)

    s3.download_file(bucket, "big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    head = s3.head_object(Bucket=bucket, Key="big")
    parts = [data[start : start + 8 * MB] for start in range(0, len(data), 8 * MB)]
    etag = md5(b"".join(md5(part).digest() for part in parts)).hexdigest()
    assert (head["ETag"], head["Metadata"], head["ContentType"]) == (f'"{etag}-3"', {"a": "1"}, "a/b")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256", "SHA1"])
def test_checksums_are_kept_and_come_back(s3: Any, bucket: str, tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "big").write_bytes(b"z" * 11 * MB)

    s3.upload_file(str(tmp_path / "big"), bucket, "big", ExtraArgs={"ChecksumAlgorithm": algorithm})

    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"].endswith("-2")
    assert head["ChecksumType"] == "COMPOSITE"
    assert read(s3, bucket, "big", ChecksumMode="ENABLED") == b"z" * 11 * MB


def test_a_checksum_of_the_whole_is_put_together_from_those_of_parts(s3: Any, bucket: str) -> None:
    import base64
    import zlib

    begun = s3.create_multipart_upload(
        Bucket=bucket, Key="a", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )  # fmt: skip
    upload, data = begun["UploadId"], [b"a" * 5 * MB, b"b" * 7]
    parts = []
    for number, part in enumerate(data, 1):
        put = s3.upload_part(
            Bucket=bucket, Key="a", UploadId=upload, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32"
        )  # fmt: skip
        parts.append({"PartNumber": number, "ETag": put["ETag"], "ChecksumCRC32": put["ChecksumCRC32"]})
    crc = base64.b64encode(zlib.crc32(b"".join(data)).to_bytes(4, "big")).decode()

    wrong = {"Bucket": bucket, "Key": "a", "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    assert refused(s3.complete_multipart_upload, **wrong, ChecksumCRC32="AAAAAA==") == ("BadDigest", 400)
    done = s3.complete_multipart_upload(**wrong, ChecksumCRC32=crc)

    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (crc, "FULL_OBJECT")


def test_parts_are_listed_replaced_chosen_and_refused(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "dir/a b"}
    upload = s3.create_multipart_upload(**where, Tagging="k=v")["UploadId"]
    etags = {}
    for number, body in ((3, b"3"), (1, b"1" * 5 * MB), (2, b"2" * 5 * MB), (1, b"x" * 5 * MB)):
        etags[number] = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]

    listed = s3.list_parts(**where, UploadId=upload, MaxParts=2)
    assert [(part["PartNumber"], part["ETag"]) for part in listed["Parts"]] == [(1, etags[1]), (2, etags[2])]
    assert (listed["IsTruncated"], listed["NextPartNumberMarker"]) == (True, 2)
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["dir/a b"]
    assert refused(s3.get_object, **where) == ("NoSuchKey", 404)

    def complete(*parts: tuple[int, str]) -> dict[str, object]:
        named = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        return {**where, "UploadId": upload, "MultipartUpload": {"Parts": named}}

    finish = s3.complete_multipart_upload
    assert refused(finish, **complete((2, etags[2]), (1, etags[1]))) == ("InvalidPartOrder", 400)
    assert refused(finish, **complete((1, '"other"'))) == ("InvalidPart", 400)
    assert refused(finish, **complete((9, etags[1]))) == ("InvalidPart", 400)
    assert refused(finish, **complete()) == ("MalformedXML", 400)
    finish(**complete((1, etags[1]), (3, etags[3])))
    assert read(s3, bucket, "dir/a b") == b"x" * 5 * MB + b"3"
    assert s3.get_object_tagging(Bucket=bucket, Key="dir/a b")["TagSet"] == [{"Key": "k", "Value": "v"}]
    assert refused(finish, **complete((1, etags[1]))) == ("NoSuchUpload", 404)


def test_small_parts_and_aborted_uploads_are_refused(s3: Any, bucket: str, root: Path) -> None:
    where = {"Bucket": bucket, "Key": "a"}
    others = set((root / ".uploads").iterdir()) if (root / ".uploads").is_dir() else set()
    upload = {**where, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=b"1")["ETag"]}
        for number in (1, 2)
    ]
    done = {**upload, "MultipartUpload": {"Parts": parts}}
    assert refused(s3.complete_multipart_upload, **done) == ("EntityTooSmall", 400)
    assert refused(s3.upload_part, **upload, PartNumber=10_001, Body=b"") == ("InvalidArgument", 400)
    s3.abort_multipart_upload(**upload)
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"") == ("NoSuchUpload", 404)
    assert refused(s3.abort_multipart_upload, **upload) == ("NoSuchUpload", 404)
    for hostile in ("../../..", "a" * 32, ""):
        asked = {**where, "UploadId": hostile, "PartNumber": 1, "Body": b""}
        assert refused(s3.upload_part, **asked)[1] in (404, 400)
    assert set((root / ".uploads").iterdir()) == others


def test_a_condition_holds_for_the_whole(s3: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "a", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"new")["ETag"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"there")
    done = {**upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}

    assert refused(s3.complete_multipart_upload, **done, IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert read(s3, bucket, "a") == b"there"


def test_parts_may_be_copied(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789" * MB)

    s3.copy(
        {"Bucket": bucket, "Key": "source"}, bucket, "target",
        Config=TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB),
    )  # fmt: skip

    assert s3.head_object(Bucket=bucket, Key="target")["ETag"].endswith('-2"')
    assert read(s3, bucket, "target") == b"0123456789" * MB
