"""Uploads in parts: begun, continued, listed, completed, aborted."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from sagespec.buckets.checksums import ALGORITHMS
from sagespec.buckets.layout import Layout
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.uploads import Upload, abort, begin, complete, parts_of, put_part, upload_of, uploads_of
from sagespec.buckets.writing import incoming
from sagespec.s3.answers import Answer, Element, iso, xml
from sagespec.s3.asked import Request, number_of
from sagespec.s3.bodies import check_signed, receive, said_checksums
from sagespec.s3.conditions import write_condition
from sagespec.s3.copies import part_number
from sagespec.s3.described import described
from sagespec.s3.listings import limit_of
from sagespec.s3.parsed import claimed_parts


def create_upload(layout: Layout, request: Request) -> Answer:
    headers = request.headers
    algorithm = headers.get("x-amz-checksum-algorithm", "").lower()
    if algorithm and algorithm not in ALGORITHMS:
        raise Refusal("InvalidRequest", f"{algorithm} is no checksum algorithm of S3.")
    kind = headers.get("x-amz-checksum-type", "FULL_OBJECT" if algorithm == "crc64nvme" else "COMPOSITE").upper()
    upload = begin(
        layout, request.bucket, request.key, described(headers), checksum=algorithm, checksum_type=kind
    )  # fmt: skip
    told = [("x-amz-checksum-algorithm", algorithm.upper()), ("x-amz-checksum-type", kind)] if algorithm else []
    said = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload.id)]
    return xml("InitiateMultipartUploadResult", said, headers=told)


def upload_part(layout: Layout, request: Request) -> Answer:
    upload = _upload(layout, request)
    number = part_number(request)
    with incoming(layout) as content:
        received = receive(request, content)
        put_part(layout, upload, number, content, etag=received.etag, checksums=received.checksums)
    told = [(f"x-amz-checksum-{name}", value) for name, value in received.checksums.items()]
    return Answer(200, [("ETag", f'"{received.etag}"'), ("Content-Length", "0"), *told])


def complete_upload(layout: Layout, request: Request) -> Answer:
    upload = _upload(layout, request)
    body = request.small_body()
    check_signed(request.headers, body)
    about = complete(
        layout,
        upload,
        claimed_parts(body),
        condition=write_condition(request.headers),
        whole=said_checksums(request.headers),
    )
    said: list[Element] = [
        ("Location", f"/{quote(request.bucket)}/{quote(request.key)}"),
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("ETag", f'"{about.etag}"'),
        *_checksums(about.checksums),
        *([("ChecksumType", about.checksum_type)] if about.checksums else []),
    ]
    return xml("CompleteMultipartUploadResult", said)


def abort_upload(layout: Layout, request: Request) -> Answer:
    abort(layout, _upload(layout, request))
    return Answer(204)


def list_parts(layout: Layout, request: Request) -> Answer:
    upload = _upload(layout, request)
    limit, marker = limit_of(request, "max-parts"), request.query.get("part-number-marker", "0")
    after = number_of(marker)
    if after is None:
        raise Refusal("InvalidArgument", "part-number-marker is a number.")
    parts = [part for part in parts_of(layout, upload) if part.number > after]
    page = parts[:limit]
    said: list[Element] = [
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("UploadId", upload.id),
        ("PartNumberMarker", marker),
        *([("NextPartNumberMarker", page[-1].number)] if page else []),
        ("MaxParts", limit),
        ("IsTruncated", len(parts) > limit),
    ]
    for part in page:
        told: list[Element] = [
            ("PartNumber", part.number), ("LastModified", iso(part.written)), ("ETag", f'"{part.etag}"'),
            ("Size", part.size), *_checksums(part.checksums),
        ]  # fmt: skip
        said.append(("Part", told))
    return xml("ListPartsResult", said)


def list_uploads(layout: Layout, request: Request) -> Answer:
    query, limit = request.query, limit_of(request, "max-uploads")
    begins, after = query.get("prefix", ""), (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    found = [one for one in uploads_of(layout, request.bucket) if one.key.startswith(begins) and _is_after(one, after)]
    page = found[:limit]
    is_quoted = "encoding-type" in query
    said: list[Element] = [("Bucket", request.bucket), ("Prefix", begins), ("MaxUploads", limit)]
    said += [("EncodingType", "url")] if is_quoted else []
    said += [("IsTruncated", len(found) > limit)]
    if len(found) > limit and page:
        said += [("NextKeyMarker", _written(page[-1].key, is_quoted)), ("NextUploadIdMarker", page[-1].id)]
    for one in page:
        told = [("Key", _written(one.key, is_quoted)), ("UploadId", one.id), ("Initiated", iso(one.begun))]
        said.append(("Upload", [*told, ("StorageClass", "STANDARD")]))
    return xml("ListMultipartUploadsResult", said)


def _upload(layout: Layout, request: Request) -> Upload:
    return upload_of(layout, request.bucket, request.key, request.query.get("uploadId", ""))


def _is_after(upload: Upload, marker: tuple[str, str]) -> bool:
    key, upload_id = marker
    return upload.key > key or (bool(upload_id) and (upload.key, upload.id) > (key, upload_id))


def _written(key: str, is_quoted: bool) -> str:
    return quote(key, safe="/") if is_quoted else key


def _checksums(checksums: Mapping[str, str]) -> list[Element]:
    return [(f"Checksum{name.upper()}", value) for name, value in checksums.items()]
