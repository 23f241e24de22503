"""Which of several tags is the highest version: v1.10.0 comes after v1.9.0, and after v1.10.0-rc.1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

_VERSION = re.compile(r"\D*?(\d+(?:\.\d+)*)(.*)", re.DOTALL)


def highest(tags: Iterable[str], pattern: str) -> str:
    """The highest of the tags that the pattern matches; '' where there is none with a number.

    >>> highest(["v1.9.0", "v1.10.0", "v1.10.0-rc.1", "w9"], "v*")
    'v1.10.0'
    """
    found = [tag for tag in tags if fnmatchcase(tag, pattern) and _VERSION.fullmatch(tag)]
    return max(found, key=_order, default="")


def _order(tag: str) -> tuple[object, ...]:
    match = _VERSION.fullmatch(tag)
    assert match is not None
    numbers, rest = [int(number) for number in match[1].split(".")], match[2]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    parts = tuple(
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.findall(r"\d+|[a-z]+", rest)
    )
    return tuple(numbers), not parts, parts, tag
