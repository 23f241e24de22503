"""What no client of S3 sends: refused in its words, never a fault of ours."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

FAR = "9" * 5000
PARTS = "<CompleteMultipartUpload><Part><PartNumber>{}</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"
ENTITY = '<?xml version="1.0" encoding="{0}"?><!DOCTYPE d [<!ENTITY a "obj">]><Delete><Object><Key>&a;</Key></Object></Delete>'  # noqa: E501
SENT: list[tuple[str, str, dict[str, str], bytes, int]] = [
    ("GET", "/BUCKET/obj", {"Range": f"bytes={FAR}-"}, b"", 416),
    ("GET", "/BUCKET/obj", {"Range": f"bytes=-{FAR}"}, b"", 206),
    ("GET", "/BUCKET/obj", {"Range": f"bytes=1-{FAR}"}, b"", 206),
    ("GET", "/BUCKET?max-keys=%C2%B2", {}, b"", 400),
    ("GET", f"/BUCKET?max-keys={FAR}", {}, b"", 400),
    ("GET", "/BUCKET?uploads&max-uploads=%C2%B2", {}, b"", 400),
    ("GET", "/BUCKET?prefix=%00a/%00", {}, b"", 200),
    ("GET", f"/BUCKET?prefix={'a' * 3000}/b", {}, b"", 200),
    ("GET", f"/BUCKET?prefix={'a/' * 3000}b", {}, b"", 200),
    ("GET", "//[", {}, b"", 400),
    ("PUT", "/BUCKET/a", {"Content-MD5": "\xff"}, b"x", 400),
    ("POST", "/BUCKET/k?uploadId=UPLOAD", {}, PARTS.format("²").encode(), 400),
    ("POST", "/BUCKET/k?uploadId=UPLOAD", {}, PARTS.format(FAR).encode(), 400),
    ("GET", "/BUCKET/k?uploadId=UPLOAD&part-number-marker=%C2%B2", {}, b"", 400),
    ("POST", "/BUCKET?delete", {}, ENTITY.format("utf-16").encode("utf-16"), 400),
    ("POST", "/BUCKET?delete", {}, ENTITY.format("no-such").encode(), 400),
    ("POST", "/BUCKET?delete", {}, b'<?xml version="1.0" encoding="rot13"?><Delete/>', 400),
    ("POST", "/BUCKET?delete", {}, b"<Delete>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</Delete>", 400),
]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "status"),
    SENT,
    ids=[f"{row[1][:40]} {number}" for number, row in enumerate(SENT)],
)
def test_it_is_refused_or_answered(
    url: str, s3: Any, bucket: str, capfd: pytest.CaptureFixture[str],
    *, method: str, target: str, headers: dict[str, str], body: bytes, status: int,
) -> None:  # fmt: skip
    s3.put_object(Bucket=bucket, Key="obj", Body=b"hello")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(method, target.replace("BUCKET", bucket).replace("UPLOAD", upload), body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()

    assert answer.status == status, text
    assert not capfd.readouterr().err
    assert s3.get_object(Bucket=bucket, Key="obj")["Body"].read() == b"hello"


def test_an_aws_chunked_body_whose_length_is_no_number_is_read_to_its_end(url: str, s3: Any, bucket: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    said = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "²"}
    connection.request("PUT", f"/{bucket}/a", b"1\r\nx\r\n0\r\n\r\n", said)
    assert connection.getresponse().status == 200
    connection.close()
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
