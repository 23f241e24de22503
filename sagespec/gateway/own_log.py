"""What Envoy says of itself, among the lines of the access log that it prints to the same place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sagespec.errors import WorldError

AMONG_LINES = 20_000  # of a busy gateway's log: some seconds
_LAST_LINES = 5  # shown when it does not start
_OF_A_REQUEST = '{"at":'  # how images/gateway/gateway_access_log.py begins a line


def last_own(lines: Iterable[str], count: int) -> list[str]:
    """The last `count` that are of no request.

    >>> last_own(['[warning] a', '{"at":"2026"}', '[warning] b', '{"at":"2026"}'], 1)
    ['[warning] b']
    """
    return list(deque((line for line in lines if not line.startswith(_OF_A_REQUEST)), maxlen=count))


def does_not_start(log: Iterable[str]) -> WorldError:
    lines = "\n".join(f"    {line}" for line in last_own(log, _LAST_LINES))
    return WorldError(
        "the gateway does not start" + (f"; its last lines:\n{lines}" if lines else ""),
        fix="see sagespec logs gateway",
    )


def rejection(log: Iterable[str]) -> str:
    """Why Envoy rejected what it was given last: the end of a line, which may start by repeating all of that."""
    lines = last_own(log, 1)
    return lines[0].rpartition("rejected: ")[2].removeprefix(": ") if lines else "it does not say why"
