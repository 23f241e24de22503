"""The project's loop in a thread of this process: `watch` while the servers answer."""

from __future__ import annotations

import queue
import threading

from sagespec.events import Event, EventKind, Report
from sagespec.project import Project
from sagespec.reconcile.options import Options

END_SECONDS = 30.0  # in which `watch` lets go of what runs; that runs on


class Wakes(queue.SimpleQueue[str]):
    """What the servers wake the loop with, which may begin after them."""

    def ask(self) -> None:
        """A spec has been written, whole: let the loop look at once."""
        self.put("request")


class Loop:
    """failed: what ended it, if it was not asked to end."""

    def __init__(self, project: Project, options: Options, report: Report, wakes: Wakes | None = None) -> None:
        self._project, self._options, self._report = project, options, report
        self._wakes = wakes
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)
        self.ended = threading.Event()
        self.failed: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once the loop has ended, or has taken too long."""
        self._cancelled.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        try:
            self._project.watch(self._options, report=self._report, cancelled=self._cancelled, wakes=self._wakes)
        except Exception as error:  # reported, and raised again by whoever waits for the end
            self.failed = error
            self._report(Event(EventKind.FAILED, text=str(error), action="watch"))
        finally:
            self.ended.set()
