"""Which lines of a log a request asks for, and the tokens that lead on from there. Pure.

A token holds the number of a line, so it is valid for as long as the log is there: `f/` leads on from that line, `b/`
to those before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sagespec.api.errors import ApiError
from sagespec.api.logs.spool import Line

MOST_EVENTS = 10_000
MOST_BYTES = 2**20
EVENT_BYTES = 26  # what CloudWatch counts an event besides its text
_TOKEN = re.compile(r"([fb])/0*([0-9]{1,18})(?:/s)?")


class Log(Protocol):
    """Numbered lines in the order of time."""

    @property
    def first_at(self) -> int | None: ...
    @property
    def last_at(self) -> int | None: ...
    def __len__(self) -> int: ...
    def number_at(self, at: int) -> int: ...
    def lines(self, begin: int, end: int) -> Iterator[Line]: ...


@dataclass(frozen=True)
class Asked:
    """Of a log: from and until when (milliseconds since 1970), how many lines at most, from which end."""

    since: int = 0
    until: int | None = None
    limit: int = MOST_EVENTS
    from_head: bool = False
    token: str | None = None


@dataclass(frozen=True)
class Found:
    """begin, end: the numbers of its lines, the last one excluded."""

    lines: tuple[Line, ...]
    begin: int
    end: int

    @property
    def forward(self) -> str:
        return f"f/{self.end:056d}/s"

    @property
    def backward(self) -> str:
        return f"b/{self.begin:056d}/s"


def read(log: Log, asked: Asked) -> Found:
    """The lines that are asked for, as many as one answer holds."""
    first = log.number_at(asked.since)
    after = len(log) if asked.until is None else log.number_at(asked.until)
    limit = min(asked.limit, MOST_EVENTS)
    direction, number = _parsed(asked.token) if asked.token else ("f" if asked.from_head else "b", None)
    if direction == "f":
        begin = first if number is None else min(max(number, first), max(after, number))
        lines = _that_fit(log.lines(begin, min(begin + limit, after)))
        return Found(lines, begin, begin + len(lines))
    end = min(after if number is None else number, after)
    return _the_last(log, max(first, end - limit), end)


def _the_last(log: Log, begin: int, end: int) -> Found:
    lines = tuple(log.lines(begin, end))
    kept = _that_fit(iter(reversed(lines)))[::-1]
    return Found(kept, max(begin, end - len(kept)) if lines else end, end)


def _that_fit(lines: Iterator[Line]) -> tuple[Line, ...]:
    """The first of them, up to what one answer holds; at least one."""
    found, size = list[Line](), 0
    for line in lines:
        size += len(line.text) + EVENT_BYTES
        if found and size > MOST_BYTES:
            break
        found.append(line)
    return tuple(found)


def _parsed(token: str) -> tuple[str, int]:
    if found := _TOKEN.fullmatch(token):
        return found[1], int(found[2])
    raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
