"""A request as S3 has it: bucket, key, query and headers, out of a WSGI environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import parse_qsl, unquote_to_bytes

from sagespec.buckets.refusals import Refusal

_MOST_XML_BYTES = 4 << 20  # 10,000 parts with their checksums, or 1,000 long keys to delete
_IN_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")


@dataclass(frozen=True)
class Request:
    """bucket and key: '' where the path names none. headers: with lower-case names. length: of the body, where it was
    said before it."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: IO[bytes]
    length: int | None

    @property
    def resource(self) -> str:
        return f"/{self.bucket}{f'/{self.key}' if self.key else ''}"

    def small_body(self) -> bytes:
        """Of a request whose body is XML."""
        if self.length is not None and self.length > _MOST_XML_BYTES:
            raise Refusal("MaxMessageLengthExceeded", "The body is too large.")
        text = self.body.read(_MOST_XML_BYTES + 1) if self.length is None else self.body.read(self.length)
        if len(text) > _MOST_XML_BYTES:
            raise Refusal("MaxMessageLengthExceeded", "The body is too large.")
        return text


def request_of(environ: Mapping[str, Any]) -> Request:
    """`Refusal` for a path or query that is not UTF-8."""
    path = _path_of(environ.get("REQUEST_URI") or "")
    raw = unquote_to_bytes(path) if path else environ.get("PATH_INFO", "").encode("latin-1")
    bucket, _, key = _text(raw).removeprefix("/").partition("/")
    headers = headers_of(environ)
    said = headers.get("content-length", "")
    is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    length = number_of(said)
    if length is None and not is_chunked:
        length = 0
    return Request(
        environ["REQUEST_METHOD"], bucket, key, _query(environ.get("QUERY_STRING", "")), headers,
        environ["wsgi.input"], length,
    )  # fmt: skip


def number_of(said: str) -> int | None:
    """None for what is no number, or a larger one than anything here has."""
    return int(said) if re.fullmatch("[0-9]{1,18}", said) else None


def _path_of(target: str) -> str:
    """target: as it was sent, which may be a whole address."""
    if target and not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("?")[0]


def headers_of(environ: Mapping[str, Any]) -> Mapping[str, str]:
    """As they were sent, where the server says so: a variable's name no longer says whether `_` was `-`."""
    sent = environ.get("sagespec.headers")
    if sent is not None:
        return dict(sent)
    named = {name.removeprefix("HTTP_"): value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: environ[name] for name in _IN_HEADERS if environ.get(name)}
    return {name.lower().replace("_", "-"): value for name, value in named.items()}


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError as error:
        raise Refusal("InvalidURI", "The query is not UTF-8.") from error


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Refusal("InvalidURI", "The path is not UTF-8.") from error
