"""What the body of a request is: by its content type, or by its first bytes where that says nothing.

Also what it probably is where it cannot be read as what it was sent for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from toolkit.media import CSV, JSON, JSON_LINES, LIBSVM, MediaType, media_type
from toolkit.rows import BYTE_ORDER_MARK

# What clients send of their own accord: curl and urllib the first, SDKs that have no type the second.
SAYS_NOTHING = ("", "application/x-www-form-urlencoded", "application/octet-stream")
CLOSING = {b"{": b"}", b"[": b"]"}
LIBSVM_LINE = re.compile(rb"([^\s,:]+\s+)?\d+:[^\s,:]+(\s|$)")
INDEX = re.compile(rb"(?:^|\s)(\d+):")
TWO_OBJECTS = re.compile(rb"\}\s*\{")
FIELD_ENDS = re.compile(rb"[\s,;|]")
HEAD_BYTES = 1000
WORDS = {CSV: "CSV", LIBSVM: "libsvm", JSON: "JSON", JSON_LINES: "JSON"}
PARTS = {CSV: "a number", LIBSVM: "index:value", JSON: "JSON", JSON_LINES: "JSON"}
SEVERAL_ROWS = "; several rows? curl -d removes line ends, --data-binary keeps them"


def says_nothing(content_type: str) -> bool:
    return media_type(content_type).name in SAYS_NOTHING


def type_of(content_type: str, body: bytes, reads: Sequence[str]) -> MediaType:
    """What a body is. Where its content type says nothing: what it looks like, if that is neither CSV nor libsvm by
    chance, else the first of `reads`.

    >>> [type_of("", body, (LIBSVM, CSV, JSON)).name for body in (b"1 0:2", b"1,2", b'{"instances": []}', b"1")]
    ['text/libsvm', 'text/csv', 'application/json', 'text/libsvm']
    """
    if not says_nothing(content_type):
        return media_type(content_type)
    looks = _looks_like(body)
    if looks == JSON and JSON_LINES in reads and _is_lines(body):
        return media_type(JSON_LINES)
    return media_type(looks if looks in reads else reads[0])


def explained(message: str, body: bytes, name: str, *, reads: Sequence[str], width: int | None = None) -> str:
    """Why a body was refused that was read as `name`: `message`, or what it is instead, or with what became of it."""
    looks = _looks_like(body)
    if name in PARTS and looks and WORDS[looks] != WORDS[name] and looks in reads:
        return f"the body is not {name} as expected: {mistaken(body, name, looks)}"
    return message + (SEVERAL_ROWS if lost_line_ends(body, name, width) else "")


def mistaken(body: bytes, name: str, looks: str) -> str:
    """
    >>> mistaken(b"1:0.5 2:0.4", CSV, LIBSVM)
    "'1:0.5' is not a number; libsvm needs content type text/libsvm"
    """
    head = _head(body)
    part = head if looks == JSON or name != CSV else FIELD_ENDS.split(head, maxsplit=1)[0]
    shown = part.decode(errors="replace")
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"
    return f"{shown!r} is not {PARTS[name]}; {WORDS[looks]} needs content type {looks}"


def lost_line_ends(body: bytes, name: str, width: int | None) -> bool:
    """Whether a body of one line probably was several rows of `width` columns, or more, one after another."""
    text = body.strip()
    if b"\n" in text or b"\r" in text:
        return False
    if name == CSV and width:
        return too_many(max(map(text.count, (b",", b";", b"\t", b"|"))) + 1, width)
    if name == LIBSVM:
        indices = [int(index) for index in INDEX.findall(text)]
        return any(later <= index for index, later in pairwise(indices))
    return name == JSON_LINES and TWO_OBJECTS.search(text) is not None


def too_many(count: int, width: int) -> bool:
    """Whether that many fields are two rows: the last field of a row is joined to the first of the next."""
    return count >= max(2 * width - 1, width + 2)


def _looks_like(body: bytes) -> str:
    """What the first line is, '' if it could be anything."""
    head = _head(body)
    if head[:1] in CLOSING:
        return JSON
    if LIBSVM_LINE.match(head):
        return LIBSVM
    is_text = not any(byte < 32 and byte != 9 for byte in head)
    return CSV if b"," in head and is_text and not head.startswith(b'"') else ""


def _head(body: bytes) -> bytes:
    start = body[:HEAD_BYTES].removeprefix(BYTE_ORDER_MARK).lstrip()
    return start.partition(b"\n")[0].rstrip()


def _is_lines(body: bytes) -> bool:
    """Whether a value of JSON ends with the first line, and another begins: no single value has no comma there."""
    first, _, rest = body.removeprefix(BYTE_ORDER_MARK).lstrip().partition(b"\n")
    opening = first[:1]
    return first.rstrip().endswith(CLOSING[opening]) and rest.lstrip().startswith(opening)
