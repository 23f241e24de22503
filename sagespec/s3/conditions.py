"""Whether an object is what a client says it must or must not be, and which bytes of it are asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from sagespec.buckets.about import About
from sagespec.buckets.refusals import Refusal, failed_condition
from sagespec.buckets.writing import Condition

_NS = 1_000_000_000
_FAR = "9" * 18  # beyond any object


class NotModified(Exception):
    """The client has what is there."""


def check_read(headers: Mapping[str, str], about: About, prefix: str = "") -> None:
    """`Refusal` or NotModified where a condition does not hold; ETags count before times (RFC 9110, 13.2.2).

    prefix: of the headers' names, where they are about the source of a copy.
    """
    wanted, unwanted = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    written = about.stamp // _NS
    if wanted is not None:
        if not _names(wanted, about.etag):
            raise failed_condition("If-Match")
    elif (latest := _seconds(headers.get(f"{prefix}if-unmodified-since"))) is not None and written > latest:
        raise failed_condition("If-Unmodified-Since")
    if unwanted is not None:
        if _names(unwanted, about.etag):
            raise NotModified
    elif (since := _seconds(headers.get(f"{prefix}if-modified-since"))) is not None and written <= since:
        raise NotModified


def write_condition(headers: Mapping[str, str]) -> Condition:
    absent, match = headers.get("if-none-match"), headers.get("if-match")
    if absent is not None and absent.strip() != "*":
        raise Refusal("NotImplemented", "A write's If-None-Match can only be *.", 501)
    return Condition(if_absent=absent is not None, if_match=match.strip().strip('"') if match is not None else None)


def range_of(said: str, size: int) -> tuple[int, int] | None:
    """First byte and length of `Range`; None for all of it, also where the header makes no sense (RFC 9110, 14.2)."""
    found = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", said.strip())
    if not found or not any(found.groups()):
        return None
    first, last = (number if len(number) <= len(_FAR) else _FAR for number in found.groups())
    if not first:
        start, end = max(size - int(last), 0), size
        if int(last) == 0:
            start = size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise Refusal("InvalidRange", f"The object has {size} bytes: none of them was asked for.", 416)
    return start, end - start


def _names(said: str, etag: str) -> bool:
    named = {one.strip().removeprefix("W/").strip('"') for one in said.split(",")}
    return "*" in named or etag in named


def _seconds(date: str | None) -> float | None:
    """A date that is none is as if it were not there."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
