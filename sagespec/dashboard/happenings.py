"""What happened since this process began, as the loop and the dashboard's own deeds reported it: the newest lines."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sagespec.events import Event, EventKind, Report

MOST = 2000
_TOO_MUCH = frozenset({EventKind.LOG, EventKind.PROGRESS})  # the pages of jobs show these


@dataclass(frozen=True)
class Happening:
    """by: who asked for it; '' for the loop. event: its `at` is set."""

    number: int
    event: Event
    by: str = ""

    @property
    def at(self) -> datetime:
        assert self.event.at is not None
        return self.event.at


class Happenings:
    """Takes events from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Happening] = deque(maxlen=MOST)
        self._count = 0

    def tell(self, event: Event, by: str = "") -> None:
        if event.kind in _TOO_MUCH:
            return
        with self._lock:
            self._count += 1
            self._kept.append(Happening(self._count, replace(event, at=event.at or datetime.now(UTC)), by))

    @property
    def count(self) -> int:
        """How much has happened so far."""
        return self._count

    def report(self, by: str) -> Report:
        return lambda event: self.tell(event, by)

    def __iter__(self) -> Iterator[Happening]:
        """The newest first."""
        with self._lock:
            return iter(tuple(reversed(self._kept)))
