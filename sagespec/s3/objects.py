"""One object: put, read, looked at, removed; and its tags."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from sagespec.buckets.about import About
from sagespec.buckets.layout import Layout
from sagespec.buckets.refusals import no_such_key
from sagespec.buckets.writing import delete, describe, incoming, put
from sagespec.s3.answers import Answer, xml
from sagespec.s3.asked import Request
from sagespec.s3.bodies import check_small, receive
from sagespec.s3.conditions import NotModified, check_read, range_of, write_condition
from sagespec.s3.described import checksum_headers, described, headers_of
from sagespec.s3.parsed import tags

_CHUNK_BYTES = 1 << 20


def put_object(layout: Layout, request: Request) -> Answer:
    layout.require(request.bucket)
    condition = write_condition(request.headers)
    with incoming(layout) as content:
        received = receive(request, content)
        said = described(request.headers, received.checksums)
        about = put(
            layout, request.bucket, request.key, content, etag=received.etag, described=said, condition=condition
        )  # fmt: skip
    return Answer(200, [("ETag", f'"{about.etag}"'), ("Content-Length", "0"), *checksum_headers(about)])


def get_object(layout: Layout, request: Request) -> Answer:
    found = layout.open(request.bucket, request.key)
    if found is None:
        raise no_such_key(request.key)
    stream, about = found
    try:
        status, headers, start, size = _asked_of(about, request)
    except BaseException:
        stream.close()
        raise
    return Answer(status, headers, _Stream(stream, start, size))


def head_object(layout: Layout, request: Request) -> Answer:
    found = layout.find(request.bucket, request.key)
    if found is None:
        raise no_such_key(request.key)
    status, headers, _, _ = _asked_of(found.about, request)
    return Answer(status, headers)


def delete_object(layout: Layout, request: Request) -> Answer:
    delete(layout, request.bucket, request.key, write_condition(request.headers))
    return Answer(204)


def get_tags(layout: Layout, request: Request) -> Answer:
    found = layout.find(request.bucket, request.key)
    if found is None:
        raise no_such_key(request.key)
    return xml(
        "Tagging", [("TagSet", [("Tag", [("Key", name), ("Value", value)]) for name, value in found.about.tags])]
    )


def put_tags(layout: Layout, request: Request) -> Answer:
    body = request.small_body()
    check_small(request.headers, body)
    describe(layout, request.bucket, request.key, tags(body))
    return Answer(200, [("Content-Length", "0")])


def delete_tags(layout: Layout, request: Request) -> Answer:
    describe(layout, request.bucket, request.key, ())
    return Answer(204)


def _asked_of(about: About, request: Request) -> tuple[int, list[tuple[str, str]], int, int]:
    """Status, headers, first byte and length of what is answered; NotModified, or `Refusal`."""
    try:
        check_read(request.headers, about)
    except NotModified:
        return 304, [("ETag", f'"{about.etag}"')], 0, 0
    headers = headers_of(about, request.headers, request.query)
    part = range_of(request.headers.get("range", ""), about.size)
    if part is None:
        return 200, [*headers, ("Content-Length", str(about.size))], 0, about.size
    start, size = part
    # A part's checksum is not the whole's.
    kept = [(name, value) for name, value in headers if not name.startswith("x-amz-checksum-")]
    place = f"bytes {start}-{start + size - 1}/{about.size}"
    return 206, [*kept, ("Content-Range", place), ("Content-Length", str(size))], start, size


class _Stream:
    """A part of a file, chunk by chunk; closed by whoever sends it."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream, self._start, self._left = stream, start, size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            chunk = os.pread(self._stream.fileno(), min(self._left, _CHUNK_BYTES), self._start)
            if not chunk:
                raise OSError("a file was cut while it was sent")
            self._start += len(chunk)
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._stream.close()
