"""Content that comes from another object: CopyObject, and parts of an upload that are copied."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from typing import BinaryIO
from urllib.parse import unquote

from sagespec.buckets.about import About
from sagespec.buckets.layout import Layout
from sagespec.buckets.refusals import Refusal, failed_condition, no_such_key
from sagespec.buckets.uploads import put_part, upload_of
from sagespec.buckets.writing import Described, Incoming, incoming, put
from sagespec.s3.answers import Answer, iso, xml
from sagespec.s3.asked import Request
from sagespec.s3.conditions import NotModified, check_read, range_of, write_condition
from sagespec.s3.described import described, tags_of_header

_CHUNK_BYTES = 1 << 20
_NS = 1_000_000_000
SOURCE = "x-amz-copy-source"


def copy_object(layout: Layout, request: Request) -> Answer:
    bucket, key = _source_of(request)
    replaces = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    if (bucket, key) == (request.bucket, request.key) and not replaces:
        raise Refusal("InvalidRequest", "An object is copied to itself only with other metadata.")
    layout.require(request.bucket)
    stream, source = _opened(layout, request, bucket, key)
    said = described(request.headers)
    if not replaces:
        said = replace(said, headers=source.headers, metadata=source.metadata)
    if request.headers.get("x-amz-tagging-directive", "COPY").upper() != "REPLACE":
        said = replace(said, tags=source.tags)
    else:
        said = replace(said, tags=tags_of_header(request.headers.get("x-amz-tagging", "")))
    with stream, incoming(layout) as content:
        etag = _copy(stream, content, 0, source.size)
        about = put(
            layout,
            request.bucket,
            request.key,
            content,
            etag=etag,
            described=_checked(said, source),
            condition=write_condition(request.headers),
        )
    return xml("CopyObjectResult", [("LastModified", iso(about.stamp / _NS)), ("ETag", f'"{about.etag}"')])


def copy_part(layout: Layout, request: Request) -> Answer:
    upload = upload_of(layout, request.bucket, request.key, request.query["uploadId"])
    stream, source = _opened(layout, request, *_source_of(request))
    with stream, incoming(layout) as content:
        start, size = range_of(request.headers.get("x-amz-copy-source-range", ""), source.size) or (0, source.size)
        etag = _copy(stream, content, start, size)
        part = put_part(layout, upload, part_number(request), content, etag=etag, checksums={})
    return xml("CopyPartResult", [("LastModified", iso(part.written)), ("ETag", f'"{part.etag}"')])


def part_number(request: Request) -> int:
    said = request.query.get("partNumber", "")
    if not re.fullmatch(r"\d{1,5}", said):
        raise Refusal("InvalidArgument", f"A part's number is 1 to 10,000, not {said[:20]!r}.")
    return int(said)


def _source_of(request: Request) -> tuple[str, str]:
    path, _, version = request.headers[SOURCE].partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not key or version not in ("", "null"):
        raise Refusal("InvalidArgument", f"{SOURCE} names a bucket and a key, and no version.")
    return bucket, key


def _opened(layout: Layout, request: Request, bucket: str, key: str) -> tuple[BinaryIO, About]:
    found = layout.open(bucket, key)
    if found is None:
        raise no_such_key(key)
    try:
        check_read(request.headers, found[1], f"{SOURCE}-")
    except NotModified:
        found[0].close()
        raise failed_condition("the source of the copy") from None
    except Refusal:
        found[0].close()
        raise
    return found


def _checked(said: Described, source: About) -> Described:
    """The source's checksums are those of the copy, unless they were put together from parts."""
    return replace(said, checksums=source.checksums) if source.checksum_type == "FULL_OBJECT" else said


def _copy(source: BinaryIO, content: Incoming, start: int, size: int) -> str:
    """Its MD5: a copy is one part, whatever the source was."""
    digest = hashlib.md5(usedforsecurity=False)
    while size:
        chunk = os.pread(source.fileno(), min(size, _CHUNK_BYTES), start)
        if not chunk:
            raise OSError("a file was cut while it was copied")
        digest.update(chunk)
        content.write(chunk)
        start += len(chunk)
        size -= len(chunk)
    return digest.hexdigest()
