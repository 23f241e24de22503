"""Reads the gateway's counters every second, in a thread of the loop.

Runs beside `watch` and asks nobody but the gateway. It costs less than a hundredth of a core: where one reading takes
long (a Docker engine starts a program in the gateway's container for it) it reads less often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, Self

from sagespec.errors import WorldError
from sagespec.gateway.table import TargetKey
from sagespec.gateway.totals import Totals
from sagespec.traffic.history import History
from sagespec.traffic.intervals import intervals
from sagespec.traffic.lately import lately_in, write_lately

EVERY_SECONDS, RARELY_SECONDS = 1.0, 10.0
KEEP_EVERY_SECONDS = 60.0
SHARE = 0.01  # of the time, at most, that readings take
FORGET_SECONDS = 24 * 3600.0  # a target that was not seen for so long is new when it comes back


class Counted(Protocol):
    """The gateway, as far as it counts."""

    def totals(self) -> Mapping[TargetKey, Totals]: ...

    def healthy(self) -> Mapping[tuple[str, str], int]: ...


Also = Callable[[Mapping[TargetKey, Totals]], None]


class Recorder:
    """Records into `history` inside of its `with` block. gateway: the one of now. file: where to write what was lately,
    for other processes. also: gets each reading, too. keep: takes what was counted into the store; called once in a
    minute with requests."""

    def __init__(
        self,
        gateway: Callable[[], Counted],
        history: History,
        file: Path,
        *,
        also: Also = lambda _totals: None,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self._gateway, self._history, self._file, self._also = gateway, history, file, also
        self._keep_counts = keep
        self._kept_at, self._kept = 0.0, 0  # when counts were kept last, and how many requests there had been
        self._before: dict[TargetKey, tuple[float, Totals]] = {}  # and when each was seen last
        self._read_at: float | None = None
        self._slowly_at = float("-inf")
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._left.set()

    def _keep(self) -> None:
        """Another recorder of this process may do it already: then this one is there for when that one ends."""
        while not self._left.is_set():
            if self._history.recorder.acquire(timeout=EVERY_SECONDS):
                try:
                    self._record_on()
                finally:
                    self._history.recorder.release()

    def _record_on(self) -> None:
        took = 0.0
        while not self._left.wait(min(max(EVERY_SECONDS, took / SHARE), RARELY_SECONDS)):
            began = time.monotonic()
            self.read()
            took = time.monotonic() - began

    def read(self) -> None:
        """One reading. A gateway that does not answer is none of ours to report: what was counted meanwhile is in
        the next reading that succeeds, if it was not restarted."""
        try:
            totals = self._gateway().totals()
            now = time.time()
            self._record(totals, now)
            self._also(totals)
            if now - self._slowly_at >= RARELY_SECONDS and (found := lately_in(self._history, now)):
                self._slowly_at = now
                write_lately(self._file, found)
                self._history.add_healthy(now, self._gateway().healthy())
            requests = sum(one.requests for one in totals.values())
            if now - self._kept_at >= KEEP_EVERY_SECONDS and requests != self._kept:
                self._kept_at, self._kept = now, requests
                self._keep_counts()
        except (WorldError, OSError):
            return

    def _record(self, totals: Mapping[TargetKey, Totals], now: float) -> None:
        before = {key: seen for key, (_, seen) in self._before.items()}
        if self._read_at is not None and now > self._read_at:
            self._history.add(self._read_at, now, intervals(before, totals, now - self._read_at))
        self._read_at = now
        kept = {key: seen for key, seen in self._before.items() if now - seen[0] < FORGET_SECONDS}
        self._before = kept | {key: (now, value) for key, value in totals.items()}
