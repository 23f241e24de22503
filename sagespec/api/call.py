"""One HTTP request as it came, and the answer to one, without a framework: signatures are over what was sent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from sagespec.api.errors import ApiError

LARGEST_BODY_BYTES = 10 * 2**20  # of requests that are read whole
_BLOCK_BYTES = 2**16

StartResponse = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """environ: of WSGI. target: path and query as they were sent."""

    environ: dict[str, Any]

    @cached_property
    def headers(self) -> dict[str, str]:
        """By name in lower case; where the server tells, as they were sent, with `_` and `-` kept apart."""
        if (sent := self.environ.get("sagespec.headers")) is not None:
            return dict(sent)
        found = {
            name[5:].replace("_", "-").lower(): value for name, value in self.environ.items() if name[:5] == "HTTP_"
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if self.environ.get(name):
                found[name.replace("_", "-").lower()] = self.environ[name]
        return found

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    @cached_property
    def target(self) -> str:
        sent = str(self.environ.get("REQUEST_URI") or self.environ.get("PATH_INFO") or "/")
        if not sent.startswith("/"):  # to a proxy: http://127.0.0.1:8081/…
            sent = "/" + sent.partition("://")[2].partition("/")[2]
        return sent

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Of the query."""
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=1000))
        except ValueError:
            raise ApiError("MalformedQueryString", "the query cannot be read") from None

    @property
    def user_agent(self) -> str:
        return self.headers.get("user-agent", "")

    @cached_property
    def body(self) -> bytes:
        """All of it. ApiError when there is too much."""
        blocks, size = [], 0
        if _length(self.headers) > LARGEST_BODY_BYTES:
            raise _too_large()
        while block := self.environ["wsgi.input"].read(_BLOCK_BYTES):
            size += len(block)
            if size > LARGEST_BODY_BYTES:
                raise _too_large()
            blocks.append(block)
        return b"".join(blocks)


def _length(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 19 else 0


def _too_large() -> ApiError:
    return ApiError("RequestEntityTooLargeException", f"a request may have {LARGEST_BODY_BYTES} bytes", 413)


@dataclass(frozen=True)
class Answer:
    """body: bytes, or blocks that are sent as they come."""

    status: int
    body: bytes | Iterable[bytes] = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, start: StartResponse) -> Iterable[bytes]:
        usual = {
            "Content-Type": self.content_type,
            "x-amzn-RequestId": str(uuid.uuid4()),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        if isinstance(self.body, bytes):
            usual["Content-Length"] = str(len(self.body))
        given = {name.lower() for name in self.headers}
        headers = {name: value for name, value in usual.items() if name.lower() not in given} | dict(self.headers)
        start(f"{self.status} {_phrase(self.status)}", list(headers.items()))
        return [self.body] if isinstance(self.body, bytes) else self.body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
