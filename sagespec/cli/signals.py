"""What Ctrl-C and SIGTERM do while a command changes things."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from sagespec.cli.given import STOPPED
from sagespec.events import Event, EventKind, Report

if TYPE_CHECKING:
    from sagespec.show.screen import Screen

JOBS_CONTINUE = "Running jobs continue; the next `sagespec apply` picks them up."


@contextmanager
def stoppable(
    screen: Screen, then: str = JOBS_CONTINUE, *, begun: bool = False, timed: bool = False
) -> Iterator[Interrupt]:
    """A run whose events are shown, in plain text with their times if it is `timed`, and which a signal can end in good
    order."""
    from sagespec.show.progress import reporting

    with reporting(screen, timed=timed) as report, Interrupt(report, then, begun=begun) as interrupt:
        yield interrupt


class Interrupt:
    """The first signal asks the run to end, through `cancelled`; the second ends the program at once.

    A CI runner sends SIGINT, and SIGTERM some seconds later. Before anything has begun (waiting for the lock,
    looking) the first one ends the command as well: there is nothing to be left in order.
    """

    def __init__(self, report: Report, then: str, *, begun: bool = False) -> None:
        self.cancelled = threading.Event()
        self._begun = begun
        self._report = report
        self._then = then

    def report(self, event: Event) -> None:
        """Passes an event on, and learns from it when the work begins."""
        self._begun = self._begun or event.kind is EventKind.PLANNED
        self._report(event)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self.cancelled.is_set():
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the live lines had hidden the cursor
            os._exit(STOPPED)  # threads that still work would keep any gentler exit waiting
        self.cancelled.set()
        if not self._begun:
            raise KeyboardInterrupt
        # Told by a thread: this handler may have interrupted a write to the very stream it would write to.
        threading.Thread(target=self._tell).start()

    def _tell(self) -> None:
        text = f"stopping: starting nothing new. {self._then} (Ctrl-C again to quit now)"
        self._report(Event(EventKind.NOTE, text=text))
