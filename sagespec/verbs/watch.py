"""Applies on every change of a spec, every engine event and a timer."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

from sagespec.converge import Converged, converge
from sagespec.errors import WorldError
from sagespec.events import Caller, Report
from sagespec.parts import Parts
from sagespec.reconcile.options import Options
from sagespec.verbs.locked import locked, report_runtime
from sagespec.verbs.plan import plan, snapshot

LOCK_WAIT_OF_WATCH_SECONDS = 600.0  # someone is applying by hand: they go first


class Passes:
    """The passes of one `watch`, each with freshly read settings. Only the first pass that acts requests a retry."""

    def __init__(self, parts: Parts, options: Options, report: Report, stop: threading.Event) -> None:
        self._parts, self._options, self._report, self._stop = parts, options, report, stop

    def __call__(self) -> Converged:
        parts = self._parts
        found = plan(parts, self._options)
        if not found.actions:
            return Converged(found)  # nothing to do needs no lock: it is written to the store each time
        with locked(
            parts,
            "watch",
            self._report,
            wait_seconds=LOCK_WAIT_OF_WATCH_SECONDS,
            pause=self._pause,
            say_runtime=False,
        ) as lock:
            options, self._options = self._options, replace(self._options, retry=False)
            look = partial(snapshot, parts)
            return converge(look, parts.world(), options, Caller(self._report, self._stop, lock.check))

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise WorldError("stopped while waiting for another run")


def watch(
    parts: Parts, options: Options, *, report: Report, cancelled: threading.Event | None, every_seconds: float
) -> None:
    from sagespec.watch import watch as woken

    stop = cancelled or threading.Event()
    report_runtime(parts, report)
    paths = [*parts.specs, parts.root / "sagespec.yaml"]
    passes = Passes(parts, options, report, stop)
    woken(passes, parts.runtime, paths, report, stop, every_seconds=every_seconds)
