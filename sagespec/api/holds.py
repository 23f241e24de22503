"""Describe calls of waiters, answered when the state has changed: a waiter of boto3 asks every 30 or 120 seconds, and
would learn of an end so much later.

Only waiters are held; they say so in their User-Agent. While one is, blanks go out ahead of its answer every so often,
which JSON allows and which keeps the client's own timeout (60 s) from running out; so it may last as long as the job.
"""

from __future__ import annotations

import errno
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sagespec.api.call import Answer
from sagespec.api.changes import Changes
from sagespec.api.errors import ApiError

MOST_HELD = 96  # of the threads of the server
LOOK_SECONDS = 1.0  # without a word of a change: others may have made one
ASK_SECONDS = 5.0  # whether anything looks different or not
BLANK_SECONDS = 15.0
LONGEST_SECONDS = 3600.0
# The member of each answer that says the state, and the states that will be followed by another.
_STATES: Mapping[str, tuple[str, frozenset[str]]] = {
    "DescribeTrainingJob": ("TrainingJobStatus", frozenset({"InProgress", "Stopping"})),
    "DescribeProcessingJob": ("ProcessingJobStatus", frozenset({"InProgress", "Stopping"})),
    "DescribeTransformJob": ("TransformJobStatus", frozenset({"InProgress", "Stopping"})),
    "DescribeEndpoint": ("EndpointStatus", frozenset({"Creating", "Updating", "SystemUpdating", "Deleting"})),
    "DescribeNotebookInstance": ("NotebookInstanceStatus", frozenset({"Pending", "Stopping", "Deleting", "Updating"})),
}
_FEATURES = re.compile(r"(?:^| )m/([A-Za-z0-9,+-]+)")
_WAITER = "B"  # botocore's letter for it

Result = Mapping[str, Any]


def is_waiter(user_agent: str) -> bool:
    """Whether a waiter of boto3 asks, or of what is built on it.

    >>> is_waiter("Boto3/1.44.8 md/Botocore#1.44.8 m/B,b,Z cfg/retry-mode#standard")
    True
    """
    found = _FEATURES.search(user_agent)
    return found is not None and _WAITER in found[1].split(",")


class Places:
    """How many calls may be held at once, so that some threads are always left for the others."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self._free = threading.BoundedSemaphore(most)
        self.closed = threading.Event()  # nobody is held any longer

    def take(self) -> bool:
        return not self.closed.is_set() and self._free.acquire(blocking=False)

    def leave(self) -> None:
        self._free.release()


@dataclass(frozen=True)
class Holds:
    """changes: of the project. look: what everybody sees, to be compared with what was seen before."""

    changes: Changes
    look: Callable[[], object]
    places: Places
    blank_seconds: float = BLANK_SECONDS

    def holds(self, operation_name: str, user_agent: str) -> bool:
        return operation_name in _STATES and is_waiter(user_agent)

    def answer(self, operation_name: str, result: Callable[[], Result], write: Callable[[Result], Answer]) -> Answer:
        """Now, or later where the state is one that passes."""
        member, passing = _STATES[operation_name]
        found = result()
        if found.get(member) not in passing or not self.places.take():
            return write(found)
        waiting = _Waiting(self, found, member, result)
        try:
            if waiting.ended_within(self.blank_seconds):
                return write(waiting.found)
        except BaseException:
            waiting.close()
            raise
        first = write(found)
        return Answer(first.status, _Blanks(waiting, write, self.blank_seconds), first.content_type, first.headers)


class _Waiting:
    """One held call, which has a place until `close`."""

    def __init__(self, holds: Holds, found: Result, member: str, result: Callable[[], Result]) -> None:
        self._holds, self._member, self._result = holds, member, result
        self._state, self._begun_at = found.get(member), time.monotonic()
        self._seen, self._sight, self._asked_at = holds.changes.count, holds.look(), time.monotonic()
        self._has_place = True
        self.found = self._result()  # it may have changed before we began to watch

    def ended_within(self, seconds: float) -> bool:
        """Whether the state has changed by then, or the wait is over; `found` is the answer then."""
        end = time.monotonic() + seconds
        while not self._is_over():
            if time.monotonic() >= end:
                return False
            self._wait()
        self.close()
        return True

    def close(self) -> None:
        if self._has_place:
            self._has_place = False
            self._holds.places.leave()

    def _is_over(self) -> bool:
        has_changed = self.found.get(self._member) != self._state
        is_long = time.monotonic() - self._begun_at > LONGEST_SECONDS
        return has_changed or is_long or self._holds.places.closed.is_set()

    def _wait(self) -> None:
        told = self._holds.changes.wait(self._seen, LOOK_SECONDS)
        sight = self._holds.look()
        is_same = told == self._seen and (sight is self._sight or sight == self._sight)
        self._seen, self._sight = told, sight
        if not is_same or time.monotonic() - self._asked_at > ASK_SECONDS:
            self._asked_at = time.monotonic()
            self.found = self._result()


class _Blanks:
    """The body of an answer that is not known yet."""

    def __init__(self, waiting: _Waiting, write: Callable[[Result], Answer], every_seconds: float) -> None:
        self._waiting, self._write, self._every_seconds = waiting, write, every_seconds

    def __iter__(self) -> Iterator[bytes]:
        yield b" "
        try:
            while not self._waiting.ended_within(self._every_seconds):
                yield b" "  # raises when the client has gone
            body = self._write(self._waiting.found).body
        except ApiError as problem:  # 200 has been said: let the client ask again, for what is now a refusal
            raise ConnectionResetError(errno.ECONNRESET, str(problem)) from problem
        yield body if isinstance(body, bytes) else b"".join(body)

    def close(self) -> None:
        self._waiting.close()
