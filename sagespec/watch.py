"""The loop that keeps reality up to date with the specs: woken by files, requests, the engine, a task's end, a timer.

Called by `verbs`. What woke it does not matter to what is done: each pass looks at everything again, and lasts seconds,
since what takes longer runs beside it. Passes that find nothing to do say nothing. What failed is tried again after
a while, longer each time, so that a broken thing is not hammered; an edited spec ends these waits at once. While no
pass gets through, `standby` repairs what serves, and the reason is told once.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sagespec.apply.failures import Failures
from sagespec.edits import file_wakes
from sagespec.errors import Problem, SagespecError, SpecError, WorldError
from sagespec.events import Event, EventKind, Outcome, Report, Result
from sagespec.passes import JUDGE_EVERY_SECONDS, MOST_REPEATS, Run
from sagespec.records.lock import LockHeld
from sagespec.runtimes.protocol import Runtime
from sagespec.standby import Standby
from sagespec.stores.protocol import StoreAway

FILES, ENGINE, TASK, TIMER, REQUEST = "files", "engine", "task", "timer", "request"
BURST_SECONDS = 0.3  # editors write a file in several steps
REOPEN_SECONDS = 5.0
_POLL_SECONDS = 0.1
_WHOLE = "watch"  # what fails when a whole pass does
_STORE = "the store is away"


def watch(
    run: Run,
    standby: Standby,
    runtime: Runtime,
    paths: Sequence[Path],
    *,
    every_seconds: float,
    wakes: queue.SimpleQueue[str] | None = None,
    alone: Run | None = None,
    settled: Callable[[Run], object] = lambda _run: None,
) -> None:
    """Make passes on every wake until the run is cancelled. paths: files and folders that hold the specs. wakes: where
    others in this process put REQUEST, once what they have written is whole. alone: of the rollouts that have begun,
    which nobody else judges while the specs are wrong. settled: called when passes have come as far as they can."""
    wakes = wakes or queue.SimpleQueue()
    cancelled, failed_passes = run.caller.cancelled, Failures(is_patient=True)
    trouble = _Trouble(run.caller.report)
    try:
        files = file_wakes(paths, lambda: wakes.put(FILES), run.caller.report)
        with files, _engine_wakes(runtime, wakes, run.caller.report), standby:
            cause = "start"
            while not cancelled.is_set():
                if cause in (FILES, REQUEST):
                    run.failures.clear()
                    failed_passes.clear()
                with standby.while_busy():
                    if not failed_passes.ids:
                        is_settled = _settle(run, cause, trouble, every_seconds=every_seconds)
                        failed_passes.clear() if is_settled else failed_passes.add(_WHOLE)
                        standby.is_failing = not is_settled and not trouble.is_another_at_work
                        if is_settled:
                            settled(run)
                    seconds = min(_seconds_to_next_look(run, every_seconds), failed_passes.seconds_left)
                    if alone and failed_passes.ids and trouble.are_specs_wrong:
                        seconds = min(seconds, _judge(alone))
                        standby.is_failing = not trouble.is_another_at_work
                    run.tell(datetime.now(UTC) + timedelta(seconds=seconds))
                cause = _next_wake(wakes, run, seconds, hears_tasks=not failed_passes.ids)
                if cause == REQUEST:
                    cause = with_what_came(wakes)
                if cause in (FILES, ENGINE):
                    _skip_burst(wakes, cancelled)
    finally:
        run.leave()


class _Trouble:
    """Why no pass gets through, told once for each reason; all that a store says while it is away is one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: set[str] = set()
        self._away_since: float | None = None  # by the monotonic clock
        self._refused: set[tuple[str, str]] = set()
        self.is_another_at_work = False  # in the last pass that could not be made
        self.are_specs_wrong = False  # in that pass

    @property
    def is_over(self) -> bool:
        return not self._told

    def tell(self, error: SagespecError | OSError) -> None:
        self.is_another_at_work, self.are_specs_wrong = isinstance(error, LockHeld), isinstance(error, SpecError)
        if isinstance(error, StoreAway):
            reason, self._away_since = _STORE, self._away_since or time.monotonic()
        else:
            reason = str(error)
        if reason not in self._told:
            self._told.add(reason)
            self._report(Event(EventKind.FAILED, text=str(error), action="watch", at=datetime.now(UTC)))

    def tell_refused(self, problems: Sequence[Problem], *, has_failed: bool) -> None:
        """Once each, as long as it is so. What has failed just now was told then."""
        for problem in problems:
            if (problem.about, problem.what) not in self._refused and not has_failed:
                text = "; ".join(filter(None, (f"refused: {problem.what.splitlines()[0]}", problem.fix)))
                self._report(Event(EventKind.NOTE, problem.about, text, at=datetime.now(UTC)))
        self._refused = {(problem.about, problem.what) for problem in problems}

    def end(self) -> None:
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            self._report(Event(EventKind.NOTE, text=f"the store is back after {seconds:.0f} s", at=datetime.now(UTC)))
        self._told, self._away_since = set(), None


def _settle(run: Run, cause: str, trouble: _Trouble, *, every_seconds: float) -> bool:
    """Make passes until nothing is due; False when one could not be made. Wrong specs and errors of the world or disk
    are told, not raised."""
    report, ended = run.caller.report, list[Outcome]()
    run.forget_told()
    glance_for = every_seconds if cause == TIMER else 0.0  # it looks more often while it waits for others
    try:
        for _ in range(MOST_REPEATS):
            if run.caller.cancelled.is_set() or not run.is_due(unless_same_for=glance_for):
                break
            ended += run.make_pass()
    except (SagespecError, OSError) as error:
        if not run.caller.cancelled.is_set():
            trouble.tell(error)
        return False
    was_failing = not trouble.is_over
    trouble.end()
    failed, refused = sum(outcome.result is Result.FAILED for outcome in ended), len(run.plan.refused)
    trouble.tell_refused(run.plan.refused, has_failed=bool(failed))
    if failed or ((ended or was_failing) and not run.tasks.all and not run.plan.rolling):
        text = f"{failed} failed" if failed else f"{refused} refused" if refused else "everything is up to date"
        report(Event(EventKind.SETTLED, text=f"{text} (woken by {cause})", at=datetime.now(UTC)))
    return True


def _judge(alone: Run) -> float:
    """Make the pass that is due of the rollouts, if there are any; after how many seconds to look again."""
    with suppress(SagespecError, OSError):
        if is_due := alone.is_due():
            alone.make_pass()
        alone.forget_told()
        return JUDGE_EVERY_SECONDS if is_due or alone.plan.rolling else math.inf
    return math.inf


def _seconds_to_next_look(run: Run, every_seconds: float) -> float:
    seconds = min(every_seconds, run.failures.seconds_left, run.repairs.seconds_left, run.suspended_seconds)
    return min(seconds, run.look_every_seconds) if run.waits_for_others else seconds


def _next_wake(wakes: queue.SimpleQueue[str], run: Run, seconds: float, *, hears_tasks: bool) -> str:
    """What wakes next: a file, the engine, the end of a task, or the timer after `seconds`.

    hears_tasks: not while no pass may be made, which is what their end asks for.
    """
    end = time.monotonic() + seconds
    while not run.caller.cancelled.is_set() and (left := end - time.monotonic()) > 0:
        if hears_tasks and run.woken.is_set():
            return TASK
        try:
            return wakes.get(timeout=min(left, _POLL_SECONDS))
        except queue.Empty:
            continue
    return TIMER


def with_what_came(wakes: queue.SimpleQueue[str]) -> str:
    """Of requests that came together, one; of what came with them, FILES, since somebody may still be writing."""
    causes = {REQUEST}
    with suppress(queue.Empty):
        while True:
            causes.add(wakes.get_nowait())
    return FILES if FILES in causes else REQUEST


def _skip_burst(wakes: queue.SimpleQueue[str], cancelled: threading.Event) -> None:
    """Wait for the burst of events that follows a first one, and forget it: one pass answers them all."""
    cancelled.wait(BURST_SECONDS)
    while True:
        try:
            wakes.get_nowait()
        except queue.Empty:
            return


@contextmanager
def _engine_wakes(runtime: Runtime, wakes: queue.SimpleQueue[str], report: Report) -> Iterator[None]:
    """Wakes from the engine's events. Where their stream ends (the engine was restarted), it is opened again;
    until then the timer works alone. A stream that is still being opened at the end is closed by who opens it."""
    leaving = threading.Event()
    opened: queue.SimpleQueue[AbstractContextManager[Iterator[str]]] = queue.SimpleQueue()

    def close() -> None:
        """Whoever takes it out closes it, so that two threads never do."""
        with suppress(queue.Empty):
            opened.get_nowait().__exit__(None, None, None)

    def follow() -> None:
        stream = runtime.events()
        names = stream.__enter__()
        opened.put(stream)
        try:
            if not leaving.is_set():  # else nobody else closes it
                for _ in names:
                    wakes.put(ENGINE)
        finally:
            close()

    def pump() -> None:
        while not leaving.is_set():
            try:
                follow()
            except WorldError as error:
                if not leaving.is_set():
                    report(Event(EventKind.NOTE, text=f"the engine's events ended; the timer continues: {error}"))
            leaving.wait(REOPEN_SECONDS)
            wakes.put(ENGINE)  # what happened meanwhile was not reported

    threading.Thread(target=pump, name="engine-events", daemon=True).start()
    try:
        yield
    finally:
        leaving.set()
        close()
