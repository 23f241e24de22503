"""Content that a client sends: unwrapped, written to its file, and held against each checksum that came with it.

Nothing of it is kept in memory but one chunk. A body may be wrapped in aws-chunked, which puts sizes between chunks
and checksums after the last; the signatures of its chunks are not looked at, since the request's own was.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, BinaryIO

from sagespec.buckets.checksums import ALGORITHMS, checksum, encoded
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.writing import Incoming
from sagespec.s3.asked import Request, number_of

_CHUNK_BYTES = 1 << 20
_MOST_LINE_BYTES = 4 << 10
_MOST_TRAILERS = 20
_MOST_BYTES = 5 << 40
_PREFIX = "x-amz-checksum-"
_SHA256 = re.compile("[0-9a-f]{64}")  # else a word of AWS's, for a body that is not signed as a whole


@dataclass(frozen=True)
class Received:
    etag: str
    size: int
    checksums: dict[str, str]


def receive(request: Request, content: Incoming) -> Received:
    """Write the body to `content`. `Refusal` when it is cut, or is not what its checksums say."""
    headers = request.headers
    trailers: dict[str, str] = {}
    is_wrapped = headers.get("x-amz-content-sha256", "").startswith("STREAMING-") or "aws-chunked" in headers.get(
        "content-encoding", ""
    )
    said = headers.get("x-amz-decoded-content-length", "") if is_wrapped else headers.get("content-length", "")
    expected = number_of(said)
    if expected is not None and expected > _MOST_BYTES:
        raise Refusal("EntityTooLarge", "An object has at most 5 TiB.")
    signed = headers.get("x-amz-content-sha256", "")
    algorithms = _algorithms(headers)
    sums = {name: checksum(name) for name in algorithms}
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    is_signed = _SHA256.fullmatch(signed) is not None
    size = 0
    for chunk in _unwrapped(request.body, trailers) if is_wrapped else _plain(request):
        md5.update(chunk)
        if is_signed:
            sha256.update(chunk)
        for one in sums.values():
            one.update(chunk)
        content.write(chunk)
        size += len(chunk)
    if expected is not None and size != expected:
        raise Refusal("IncompleteBody", f"The body has {size} bytes where its length was said to be {expected}.")
    if is_signed and sha256.hexdigest() != signed:
        raise _not_signed()
    _check_md5(headers.get("content-md5"), md5.digest())
    found = {name: encoded(one) for name, one in sums.items()}
    _check(found, {**headers, **trailers})
    return Received(md5.hexdigest(), size, found)


def said_checksums(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums in headers, by algorithm."""
    return {name: value for name in ALGORITHMS if (value := headers.get(f"{_PREFIX}{name}"))}


def check_small(headers: Mapping[str, str], body: bytes) -> None:
    """The checksums of a body that is XML."""
    check_signed(headers, body)
    _check_md5(headers.get("content-md5"), hashlib.md5(body, usedforsecurity=False).digest())
    found = {}
    for name in said_checksums(headers):
        one = checksum(name)
        one.update(body)
        found[name] = encoded(one)
    _check(found, headers)


def check_signed(headers: Mapping[str, str], body: bytes) -> None:
    signed = headers.get("x-amz-content-sha256", "")
    if _SHA256.fullmatch(signed) and hashlib.sha256(body).hexdigest() != signed:
        raise _not_signed()


def _algorithms(headers: Mapping[str, str]) -> set[str]:
    """Those that come with the body, and the one that the client asks to be kept."""
    names = set(said_checksums(headers))
    trailing = (name.strip().lower() for name in headers.get("x-amz-trailer", "").split(","))
    names |= {name.removeprefix(_PREFIX) for name in trailing if name.startswith(_PREFIX)}
    asked = headers.get("x-amz-sdk-checksum-algorithm", "").lower()
    names |= {asked} if asked else set()
    if unknown := names - set(ALGORITHMS):
        raise Refusal("InvalidRequest", f"{sorted(unknown)[0]} is no checksum algorithm of S3.")
    return names


def _check(found: Mapping[str, str], said: Mapping[str, str]) -> None:
    for name, value in found.items():
        if said.get(f"{_PREFIX}{name}", value) != value:
            raise Refusal("BadDigest", f"The {name.upper()} of the body is not the one that was said.")


def _check_md5(said: str | None, found: bytes) -> None:
    if said is None:
        return
    try:
        wanted = base64.b64decode(said, validate=True)
    except ValueError:
        wanted = b""
    if len(wanted) != len(found):
        raise Refusal("InvalidDigest", "Content-MD5 is not the base64 of an MD5.")
    if wanted != found:
        raise Refusal("BadDigest", "The Content-MD5 is not that of the body.")


def _plain(request: Request) -> Iterator[bytes]:
    while chunk := request.body.read(_CHUNK_BYTES):
        yield chunk


class _Raw(io.RawIOBase):
    """A server's input as a stream that lines can be read from."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unwrapped(body: IO[bytes], trailers: dict[str, str]) -> Iterator[bytes]:
    """The content in aws-chunked; what follows the last chunk goes into `trailers`."""
    stream = io.BufferedReader(_Raw(body), 1 << 16)
    while left := _size(_line(stream)):
        while left:
            chunk = stream.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise _cut()
            left -= len(chunk)
            yield chunk
        if stream.read(2) != b"\r\n":
            raise _cut()
    for _ in range(_MOST_TRAILERS):
        line = stream.readline(_MOST_LINE_BYTES).strip()
        if not line:
            return
        name, _, value = line.decode("latin-1").partition(":")
        trailers[name.strip().lower()] = value.strip()
    raise Refusal("MalformedTrailerError", "There are too many trailers.")


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_MOST_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise _cut()
    return line


def _size(line: bytes) -> int:
    size = line.split(b";")[0].strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
        raise _cut()
    return int(size, 16)


def _not_signed() -> Refusal:
    return Refusal("XAmzContentSHA256Mismatch", "The body is not the one that was signed.")


def _cut() -> Refusal:
    return Refusal("IncompleteBody", "The body ends inside a chunk, or is not aws-chunked.")
