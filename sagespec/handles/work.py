"""What the verbs have begun and what continues in a thread of this process: one job or endpoint is applied, alone.

Leaving the process never ends a job: it runs on without us, and whoever applies next takes it up. Where `sagespec up`
or `watch` runs on the same specs, a job is left to that.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sagespec.converge import Converged
from sagespec.errors import SagespecError
from sagespec.events import Event, EventKind
from sagespec.plan import RunJob
from sagespec.project import Project
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.state.addresses import Address

LOOK_EVERY_SECONDS = 0.5  # at a job that another run follows
LEAVE_TO_WATCH_SECONDS = 3.0  # which has seen a new file by then, and begun
MOST_EVENTS_KEPT = 10_000
LET_GO_SECONDS = 10.0  # at the end of this process

Listener = Callable[[Event | None], None]  # None: it has ended


class Work:
    """One address being applied. error: why that ended early; converged: else what came of it."""

    def __init__(self, project: Project, address: Address) -> None:
        self.project, self.address = project, address
        self.ended = threading.Event()
        self.converged: Converged | None = None
        self.error: Exception | None = None
        self._cancelled = threading.Event()
        self._again: Options | None = None
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS_KEPT)
        self._passing_on = threading.Lock()
        self._read: set[frozenset[object]] = set()
        self.looks_on = False

    def ask(self, options: Options) -> bool:
        """Apply it, once more if that is under way: its spec may be another now. False when the thread has ended."""
        with self._lock:
            if self.ended.is_set():
                return False
            self._again = options
            return True

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"apply {self.address}", daemon=True).start()

    def listen(self, listener: Listener) -> None:
        """Pass on what happens in the work, from its beginning, and None when it has ended."""
        with self._passing_on:
            for event in self._events:
                listener(event)
            self._listeners.append(listener)
            if self.ended.is_set():
                listener(None)

    def let_go(self) -> None:
        self._cancelled.set()

    def _run(self) -> None:
        try:
            while options := self._next():
                self.error, self.converged = None, None
                try:
                    self._leave_to_others()
                    self.converged = self.project.apply(
                        options, only=[self.address], report=self._pass_on, cancelled=self._cancelled, check=False
                    )
                    self._look_on()
                except Exception as error:  # raised again by whoever waits
                    self.error = error
        finally:
            self.ended.set()
            self._pass_on(None)

    def _next(self) -> Options | None:
        with self._lock:
            options, self._again = self._again, None
            if options is None or self._cancelled.is_set():
                self.ended.set()
                return None
            return options

    def _leave_to_others(self) -> None:
        """Give a run that watches the same specs the time to begin a job."""
        end = time.monotonic() + LEAVE_TO_WATCH_SECONDS
        while self.address.kind == "job" and time.monotonic() < end:
            at_work = self.project.parts.leases().look()
            if self.address in at_work.followers or not self._is_watched_in(at_work):
                return
            if self._cancelled.wait(LOOK_EVERY_SECONDS):
                return

    def _look_on(self) -> None:
        """Until a job that another run follows has ended, or is followed by nobody: then this run takes it up."""
        while self.address.kind == "job" and not self._cancelled.is_set():
            assert self.converged
            if not any(running.about == self.address for running in self.converged.plan.running):
                return
            self.looks_on = True
            while self.address in self.project.parts.leases().look().followers:
                self._read_along()
                if self._cancelled.wait(LOOK_EVERY_SECONDS):
                    return
            self.looks_on = False
            self.converged = self.project.apply(
                only=[self.address], report=self._pass_on, cancelled=self._cancelled, check=False
            )

    def _read_along(self) -> None:
        """The log of a job that another run follows, once it has begun and as it comes."""
        with suppress(SagespecError, OSError):
            containers = self.project.parts.runtime.containers()
            hosts = [c for c in containers if c.address.whole == self.address and not c.address.is_companion]
            key = frozenset((host.name, host.started_at) for host in hosts)
            if not hosts or key in self._read or not all(host.started_at for host in hosts):
                return
            self._read.add(key)
            for source, line in self.project.logs(self.address, follow=True):
                about = source if len(hosts) > 1 else str(self.address)
                self._pass_on(Event(EventKind.LOG, about, line, action=RunJob.verb))

    @property
    def is_watched(self) -> bool:
        """Whether another run watches the same specs, and so begins what is in them."""
        return self._is_watched_in(self.project.parts.leases().look())

    def _is_watched_in(self, at_work: AtWork) -> bool:
        parts = self.project.parts
        specs = " ".join(str(path.resolve()) for path in (parts.root, *parts.specs))
        return any(run.holder.command == "watch" and run.holder.specs == specs for run in at_work.runs)

    def _pass_on(self, event: Event | None) -> None:
        with self._passing_on:
            if event and event.kind is not EventKind.PROGRESS:
                self._events.append(event)
            for listener in self._listeners:
                listener(event)


_works: dict[tuple[Path, Address], Work] = {}
_lock = threading.Lock()


def work_on(project: Project, address: Address, options: Options | None = None) -> Work:
    """Apply one address in a thread of this process; one thread for each, whoever asks."""
    key = (project.root.resolve(), address)
    with _lock:
        work = _works.get(key)
        if work is None or not work.ask(options or Options()):
            work = _works[key] = Work(project, address)
            work.ask(options or Options())
            work.start()
        return work


def work_under_way(project: Project, address: Address) -> Work | None:
    """What this process does about an address now."""
    with _lock:
        work = _works.get((project.root.resolve(), address))
        return work if work and not work.ended.is_set() else None


@atexit.register
def _let_go() -> None:
    """Give leases back before the process ends; jobs and endpoints stay as they are."""
    works = [work for work in _works.values() if not work.ended.is_set() and not work.looks_on]
    for work in works:
        work.let_go()
    end = time.monotonic() + LET_GO_SECONDS
    for work in works:
        with suppress(SagespecError, RuntimeError):
            work.ended.wait(max(0.0, end - time.monotonic()))
