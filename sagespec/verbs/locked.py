"""What a run makes its passes with: the parts of the project, its leases, and the project's lock for one pass.

What only a pass needs is imported with the first: every plan comes by here, for what it may not do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sagespec.apply.policy import Judge
from sagespec.errors import WorldError
from sagespec.events import Caller, Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.reconcile.options import Options
from sagespec.records.lease import Lease
from sagespec.records.leases import Leases
from sagespec.records.lock import PATIENCE_SECONDS, project_lock
from sagespec.runtimes.choose import SWARM_AGAIN
from sagespec.scratch import sweep
from sagespec.verbs.names import left_under_old_names, remember_name

if TYPE_CHECKING:
    from sagespec.passes import Look, Run
    from sagespec.serve.take_back import TakeBack
    from sagespec.world import World

LATER_PASSES_WAIT_SECONDS = 600.0  # for the lock: what a run has begun it does not give up for a busy moment


def run_of(
    parts: Parts,
    command: str,
    look: Look,
    options: Options,
    *,
    report: Report,
    cancelled: threading.Event | None = None,
    wait_seconds: float = PATIENCE_SECONDS,
    seen_held: Callable[[], object] = lambda: None,
    say_runtime: bool = True,
    registers: bool = True,
) -> Run:
    """A run of `command`. wait_seconds: for the lock, before the first pass; LockHeld when that is not enough.
    seen_held: called each time the lock is seen with another run. registers: False for one without specs."""
    from sagespec.passes import Run, Surroundings

    caller = Caller(report, cancelled or threading.Event())
    parts.waits.tell = lambda text: report(Event(EventKind.NOTE, text=text))
    passes = _Passes(parts, command, caller, wait_seconds, seen_held=seen_held, say_runtime=say_runtime)
    around = Surroundings(look, passes.world, passes.lock, judge_of(parts))
    return Run(around, caller, options, yields=registers, registers=registers)


def judge_of(parts: Parts) -> Judge:
    return Judge(lambda: parts.settings.policy, parts.root)


def take_back_of(parts: Parts, report: Report) -> TakeBack:
    from sagespec.serve.take_back import TakeBack
    from sagespec.traffic.tallying import count

    return TakeBack(
        parts.settings.name,
        lambda: parts.runtime,
        lambda: parts.gateway,
        report,
        count=lambda name: count(name, parts.records, parts.gateway, is_mixed=True),
    )


class _Passes:
    def __init__(
        self,
        parts: Parts,
        command: str,
        caller: Caller,
        wait_seconds: float,
        *,
        seen_held: Callable[[], object],
        say_runtime: bool,
    ) -> None:
        self._seen_held = seen_held
        self._parts, self._command, self._caller = parts, command, caller
        self._wait_seconds, self._say_runtime = wait_seconds, say_runtime
        self._is_first = True
        self._leases: Leases | None = None
        self._leases_for = ""

    def world(self) -> World:
        """As of now: the settings may have changed since the last pass. What a store knows of us stays the same."""
        store = self._parts.store.uri
        if self._leases is None or self._leases_for != store:
            self._leases, self._leases_for = self._parts.leases(self._command), store
        return self._parts.world(self._leases)

    @contextmanager
    def lock(self) -> Iterator[Lease]:
        parts, name = self._parts, self._parts.settings.name
        refuse_other_runtime(parts)
        if self._is_first and self._say_runtime:
            report_runtime(parts, self._caller.report)
            _report_git(parts, self._caller.report)
        wait = self._wait_seconds if self._is_first else LATER_PASSES_WAIT_SECONDS
        with project_lock(
            parts.store,
            name,
            command=self._command,
            wait_seconds=wait,
            report=self._caller.report,
            seen_held=self._seen_held,
            sleep=self._pause,
        ) as lock:
            if self._is_first:
                sweep(parts.scratch.parent)
                parts.inputs.sweep(name)
                parts.last_runtime_file.write_text(parts.runtime.name + "\n")
                for note in left_under_old_names(parts):
                    self._caller.report(Event(EventKind.NOTE, text=note))
                remember_name(parts)
                self._is_first = False
            yield lock

    def _pause(self, seconds: float) -> None:
        if self._caller.cancelled.wait(seconds):
            raise WorldError("stopped while waiting for another run")


def report_runtime(parts: Parts, report: Report) -> None:
    name = parts.runtime.name  # first: choosing it gives the reason
    report(Event(EventKind.RUNTIME, text=parts.runtime_reason or name))


def _report_git(parts: Parts, report: Report) -> None:
    """Why no commit will be recorded, or none that can be relied upon."""
    found = parts.find_commit()
    if found.problem:
        report(Event(EventKind.NOTE, text=f"{found.problem}; {found.fix}"))


def refuse_other_runtime(parts: Parts) -> None:
    """One project on two engines would fight over the gateway's port and over the endpoints' history."""
    last, now = parts.last_runtime(), parts.runtime.name
    if last and last != now:
        raise WorldError(
            f"this project runs under the runtime {last}, not {now}",
            why="two at once would share its port and its history",
            fix=f"{how_to_leave(parts)}; models and history stay in the store",
        )


def how_to_leave(parts: Parts) -> str:
    """What to do before another runtime than that of the last apply may take the project."""
    if parts.last_runtime() == "swarm" and not parts.settings.swarm:  # no registry: the Swarm cannot be opened
        return SWARM_AGAIN
    return f"`sagespec destroy --runtime {parts.last_runtime()}` first"
