"""Server-sent events: a log's lines and a job's points as they come, each with the position after it.

A browser that was away says which position it had last (Last-Event-ID), and gets what came since.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sagespec.dashboard.curves import Curve, after, last_at
from sagespec.dashboard.log import LONGEST_SHOWN, READ_BYTES, Line, Log

BEAT_SECONDS = 10.0  # a comment, so that a browser that has gone is noticed
LOOK_SECONDS = 0.25  # for points
BATCH_SECONDS = 0.05  # what comes meanwhile is sent together
_FAR = 2**62  # beyond any log
MOST_STREAMS = 40  # each holds a thread of the server


@dataclass(frozen=True)
class Position:
    """log: id of the log. offset: in it. seconds: of the last point."""

    log: str = ""
    offset: int = 0
    seconds: float = -1.0

    def __str__(self) -> str:
        return f"{self.log}.{self.offset}.{round(self.seconds * 1000)}"

    @classmethod
    def read(cls, text: str) -> Position:
        """
        >>> Position.read("ab12.5000.1500"), Position.read("nonsense")
        (Position(log='ab12', offset=5000, seconds=1.5), Position(log='', offset=0, seconds=-1.0))
        """
        try:
            log, offset, milliseconds = text.split(".")
            return cls(log, min(max(0, int(offset)), _FAR), int(milliseconds) / 1000)
        except (ValueError, OverflowError):
            return cls()


def events(log: Log, curve: Curve | None, start: Position, keeps: Callable[[Line], bool]) -> Iterator[str]:
    """Until both have ended. Events: `lines`, [host, text] each; `points`, by metric; `again`, the log begins from its
    start; `ended`."""
    position = start
    if start.log != log.id:
        position = Position(log.id, 0, start.seconds)
        yield event("again", {}, position)
    beat = time.monotonic()
    while True:
        is_over = log.ended and (curve is None or curve.ended)  # before the last look
        before = position.offset
        lines, offset = log.read(before)
        points = after(curve.latest, position.seconds) if curve else {}
        position = Position(log.id, offset, max(position.seconds, last_at(points)))
        if points:
            yield event("points", points, position)
        if shown := [[line.host, line.text[:LONGEST_SHOWN]] for line in lines if keeps(line)]:
            yield event("lines", shown, position)
        if points or shown:
            beat = time.monotonic()
            if offset - before < READ_BYTES // 2:
                time.sleep(BATCH_SECONDS)
        elif lines:
            continue  # none of them is wanted
        elif is_over:
            yield event("ended", {"failed": log.failed}, position)
            return
        else:
            log.wait(offset, LOOK_SECONDS) if not log.ended else time.sleep(LOOK_SECONDS)
            if time.monotonic() - beat > BEAT_SECONDS:
                beat = time.monotonic()
                yield ": \n\n"


def event(name: str, data: object, position: Position) -> str:
    return f"id: {position}\nevent: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class Streams:
    """How many there are, so that pages are answered however many tabs follow a log."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Whether there is room for one more, which is taken until the end of the block."""
        has_room = self._free.acquire(blocking=False)
        try:
            yield has_room
        finally:
            if has_room:
                self._free.release()
