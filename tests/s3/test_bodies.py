"""Bodies as clients send them: whole, in chunks with trailers, after a 100, cut off, damaged."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.s3.test_objects import read, refused

MB = 1 << 20


def put(url: str, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("PUT", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text.partition("<Code>")[2].partition("</Code>")[0]


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def wrapped(chunks: list[bytes], trailer: str, extension: str = "") -> bytes:
    sized = [f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    return b"".join(sized) + f"0{extension}\r\n{trailer}\r\n".encode()


@pytest.mark.parametrize("extension", ["", ";chunk-signature=" + "0" * 64])
def test_aws_chunked_is_unwrapped_and_its_trailer_checked(url: str, s3: Any, bucket: str, extension: str) -> None:
    chunks = [b"a" * MB, b"b" * 70_000, b"c"]
    data = b"".join(chunks)
    said = {
        "x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "content_encoding": "aws-chunked,gzip",
        "x_amz_decoded_content_length": str(len(data)),
        "x_amz_trailer": "x-amz-checksum-crc32",
    }

    good = wrapped(chunks, f"x-amz-checksum-crc32:{crc32(data)}\r\n", extension)
    assert put(url, f"/{bucket}/a", good, **said) == (200, "")
    bad = wrapped([b"x" * len(data)], f"x-amz-checksum-crc32:{crc32(data)}\r\n", extension)
    assert put(url, f"/{bucket}/a", bad, **said) == (400, "BadDigest")

    got = s3.get_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ContentEncoding"], got["ChecksumCRC32"]) == (data, "gzip", crc32(data))


@pytest.mark.parametrize(
    "body", [b"", b"zz\r\nabc\r\n", b"5\r\nabc", b"3\r\nabcd\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n", b"f" * 5000]
)
def test_what_is_no_aws_chunked_changes_nothing(url: str, s3: Any, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"before")

    answer = put(url, f"/{bucket}/a", body, x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER")

    assert answer == (400, "IncompleteBody")
    assert read(s3, bucket, "a") == b"before"


def test_each_checksum_that_comes_is_checked(url: str, s3: Any, bucket: str) -> None:
    data = b"content"
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    other = base64.b64encode(b"0" * 16).decode()
    path = f"/{bucket}/a"

    assert put(url, path, data, content_md5=md5, x_amz_checksum_crc32=crc32(data)) == (200, "")
    assert put(url, path, b"other", content_md5=md5) == (400, "BadDigest")
    assert put(url, path, data, content_md5="!") == (400, "InvalidDigest")
    assert put(url, path, data, content_md5=other) == (400, "BadDigest")
    assert put(url, path, b"other", x_amz_checksum_crc32=crc32(data)) == (400, "BadDigest")
    assert put(url, path, data, x_amz_checksum_crc32c="AAAAAA==") == (400, "BadDigest")
    assert put(url, path, data, x_amz_checksum_crc64nvme="AAAAAAAAAAA=") == (400, "BadDigest")
    assert put(url, path, data, x_amz_content_sha256="0" * 64) == (400, "XAmzContentSHA256Mismatch")
    assert put(url, path, data, x_amz_sdk_checksum_algorithm="CRC99") == (400, "InvalidRequest")
    assert read(s3, bucket, "a") == data


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_checksum_that_is_asked_for_is_kept(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="a", Body=b"1", ChecksumAlgorithm=algorithm)
    name = f"Checksum{algorithm}"

    got = s3.get_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")  # which boto3 checks itself
    assert (got["Body"].read(), got[name]) == (b"1", put[name])
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    assert s3.head_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")[name] == put[name]


def test_a_body_that_is_cut_off_changes_nothing(url: str, s3: Any, bucket: str, root: Path) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"before")
    place = urlsplit(url)

    with socket.create_connection((place.hostname or "", place.port or 0)) as client:
        head = f"PUT /{bucket}/a HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 5000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 2 * MB)
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()

    assert b"<Code>IncompleteBody</Code>" in answer
    assert read(s3, bucket, "a") == b"before"
    assert not list((root / ".incoming").iterdir())


def test_a_client_that_waits_for_100_gets_it_and_chunks_of_http_are_taken(url: str, s3: Any, bucket: str) -> None:
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0)) as client:
        head = f"PUT /{bucket}/a HTTP/1.1\r\nHost: {place.netloc}\r\nTransfer-Encoding: chunked\r\n"
        client.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"5\r\nhello\r\n0\r\n\r\n")
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert read(s3, bucket, "a") == b"hello"


def test_the_answer_to_a_refused_write_arrives_and_the_connection_stays(url: str, bucket: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for _ in range(3):
        connection.request("PUT", "/no-such-bucket/a", b"x" * 3 * MB)
        answer = connection.getresponse()
        assert (answer.status, b"NoSuchBucket" in answer.read()) == (404, True)
    connection.request("PUT", f"/{bucket}/a", b"1")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b"<Delete/>",
        b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
        b"\xff\xfe",
    ],
)
def test_xml_that_is_none_or_hostile_is_refused(url: str, bucket: str, xml: bytes) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", f"/{bucket}?delete", xml)
    answer = connection.getresponse()
    assert (answer.status, b"<Code>MalformedXML</Code>" in answer.read()) == (400, True)
    connection.close()


def test_bodies_of_xml_have_a_limit(url: str, bucket: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", f"/{bucket}?delete", b" " * 5 * MB)
    assert connection.getresponse().status == 400
    connection.close()


def test_numbers_that_are_none_are_refused(s3: Any, bucket: str, url: str) -> None:
    for query in ("max-keys=x", "max-keys=-1", "list-type=2&continuation-token=%21", "encoding-type=xml"):
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.request("GET", f"/{bucket}?{query}")
        answer = connection.getresponse()
        assert (answer.status, b"<Code>InvalidArgument</Code>" in answer.read()) == (400, True)
        connection.close()
    assert refused(s3.put_object, Bucket=bucket, Key="a", Metadata={"a": "x" * 3000}) == ("MetadataTooLarge", 400)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
