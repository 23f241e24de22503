"""Answers, and the XML in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Union
from xml.sax.saxutils import escape

from sagespec.buckets.refusals import Refusal

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_NO_HEADER = re.compile("[^ -~]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f]")

REASON = "x-amz-error-message"  # a header that S3 has on its pages of websites

Headers = Sequence[tuple[str, str]]
Element = tuple[str, Union[str, int, bool, "Sequence[Element]"]]


@dataclass(frozen=True)
class Answer:
    """chunks: of the body; where it is a stream it has `close`."""

    status: int = 200
    headers: Headers = ()
    chunks: Iterable[bytes] = ()


def xml(name: str, content: str | Sequence[Element], *, status: int = 200, headers: Headers = ()) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{_inner(content)}</{name}>'
    return _with_body(text, status, headers)


def refused(refusal: Refusal, resource: str) -> Answer:
    told = [("Code", refusal.code), ("Message", refusal.message), ("Resource", resource)]
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{_inner(told)}</Error>'
    # An answer to HEAD has no body, and clients say "Not Found": the sentence is for whoever looks at the headers.
    return _with_body(text, refusal.status, [(REASON, _NO_HEADER.sub("?", refusal.message)[:500])])


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def http_date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def _with_body(text: str, status: int, headers: Headers) -> Answer:
    body = text.encode(errors="replace")
    return Answer(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), *headers], [body])


def _inner(content: str | int | Sequence[Element]) -> str:
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, str | int):
        return _CONTROLS.sub(lambda found: f"&#{ord(found[0])};", escape(str(content)))
    return "".join(f"<{name}>{_inner(inner)}</{name}>" for name, inner in content)
