"""Follows a job's containers to their end: logs, metrics, checkpoints, requests to stop, deadlines.

Called by `run` for containers that it began or found. Whoever follows may be killed, or let go of the job: all that
is needed to follow it again is in the containers and in the store.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sagespec.contract import STOP_GRACE_SECONDS
from sagespec.errors import Cancelled, WorldError
from sagespec.events import EventKind
from sagespec.run.bars import shown
from sagespec.run.faults import Ending
from sagespec.run.jobs import JobRun
from sagespec.run.metrics import FoundMetrics
from sagespec.run.patterns import patterns_of
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.launches import Launch
from sagespec.state.manifest import Started

POLL_EVERY_SECONDS = 0.1
REASON_LOG_LINES = 5


@dataclass
class HostLog:
    """What the log of one host has given so far. file: where its lines are kept."""

    launch: Launch
    file: Path
    metrics: FoundMetrics
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=REASON_LOG_LINES))
    read_at: float = 0.0  # the last of them, by the monotonic clock


@dataclass(frozen=True)
class Ended:
    """An attempt whose containers have all ended. ending: why we stopped them; None when we did not.

    logs: by alias, in the order of the hosts. folder: for temporary files, until the attempt is collected.
    """

    started: Started
    logs: Mapping[str, HostLog]
    ending: Ending | None
    folder: Path


@dataclass(frozen=True)
class _Deadline:
    at: float  # seconds since 1970
    fault: Fault


def follow(run: JobRun, started: Started, folder: Path) -> Ended:
    """Follow all hosts to their end.

    A host that fails stops the others, with the grace. Cancelled leaves them running.
    """
    run.patiently(lambda: run.attempts.begin(started))
    if run.checkpoints:
        run.patiently(partial(run.checkpoints.resume, started.checkpoints))
    patterns = patterns_of(run.job, run.jobs.metrics)

    def give_up(metric_name: str) -> None:
        run.note(
            f"metric {metric_name}: its regex takes too long on what the job prints; it is not looked for any more"
        )

    logs = {
        launch.alias: HostLog(launch, folder / f"{launch.alias}.log", FoundMetrics(patterns, give_up=give_up))
        for launch in run.launches
    }
    with run.checkpoints.kept_meanwhile() if run.checkpoints else nullcontext():
        threads = [_follow_in_thread(run, log) for log in logs.values()]
        ending = _wait(run, started)
        for thread, log in zip(threads, logs.values(), strict=True):
            _wait_for_log(run, thread, log)
    return Ended(started, logs, ending, folder)


# -- the containers


def _wait(run: JobRun, started: Started) -> Ending | None:
    """Until all hosts have ended, by themselves or because we stopped them; why we did."""
    containers, deadline = run.containers, _deadline(run, started)
    ending, is_first = None, True
    while True:
        if containers.poll():
            if is_first:  # an earlier run may have been killed in the grace
                with suppress(WorldError):  # a node may be lost, which is known in a while
                    ending, is_first = containers.ending(started), False
            ending = ending or _reason_to_stop(run, deadline)
            if containers.have_all_ended:
                return ending
            if ending:
                if ending.fault:
                    run.note(f"{ending.fault}; SIGTERM, then up to {STOP_GRACE_SECONDS:g} s")
                run.patiently_whoever_holds_it(partial(containers.stop, ending, started))
                continue
        if run.jobs.clock.sleep(POLL_EVERY_SECONDS, run.caller.cancelled):
            raise Cancelled("it keeps running; `sagespec apply` picks it up again")


def _reason_to_stop(run: JobRun, deadline: _Deadline) -> Ending | None:
    containers = run.containers
    # The feeder's fault first: a host may end, even well, because its pipe broke off.
    if containers.feeders_fault:
        return Ending(reason=str(containers.feeders_fault), by_themselves=containers.ended)
    if containers.have_all_ended:
        return None
    if fault := run.stop.fault or (deadline.fault if run.jobs.clock.now().timestamp() > deadline.at else None):
        return Ending(reason=str(fault), by_themselves=containers.ended)
    return Ending(by_themselves=containers.ended) if containers.have_failed else None


def _deadline(run: JobRun, started: Started) -> _Deadline:
    """When the job is to be stopped, and the reason then."""
    job, attempts = run.job, run.attempts
    runs_until = started.training_from + job.max_runtime_seconds - attempts.spent_seconds
    if attempts.give_up_at and attempts.give_up_at.timestamp() < runs_until:
        return _Deadline(attempts.give_up_at.timestamp(), attempts.max_wait_exceeded)
    return _Deadline(runs_until, Fault(FaultKind.MAX_RUNTIME, f"it ran longer than {job.max_runtime_seconds:g} s"))


# -- their logs


def _follow_in_thread(run: JobRun, log: HostLog) -> threading.Thread:
    thread = threading.Thread(target=_follow_log, args=(run, log), name=f"log-{log.launch.name}", daemon=True)
    thread.start()
    return thread


def _follow_log(run: JobRun, log: HostLog) -> None:
    instance = log.launch.address.instance if run.job.instances > 1 else None
    about = str(replace(run.job.address, instance=instance))
    try:
        with log.file.open("w", encoding="utf-8", buffering=1) as file:  # whole lines, in case the wait is interrupted
            for at, line in _lines(run, log.launch.name):
                log.metrics.read(at, line)
                seen = shown(line)
                file.write(seen + "\n")
                log.last_lines.append(seen)
                log.read_at = time.monotonic()
                run.report(EventKind.LOG, seen, about=about, at=datetime.fromtimestamp(at, UTC))
    except FileNotFoundError:
        return  # the job was let go of, and its folder removed, before this thread began
    except WorldError as error:  # without the end of its log a model is still a model
        run.report(EventKind.NOTE, f"its log is incomplete: {error.problems[0].what}", about=about)


def _lines(run: JobRun, container_name: str) -> Iterator[tuple[float, str]]:
    """What the container prints until it ends, each line with its time. A stream that the engine breaks off is read
    again from its beginning, less what was read before; WorldError when that does not help."""
    patience = run.jobs.patience
    seen, tries = 0, patience.log_tries
    while True:
        try:
            for number, line in enumerate(run.jobs.runtime.timed_logs(container_name, follow=True), start=1):
                if number > seen:
                    seen, tries = number, patience.log_tries
                    yield line
            return
        except WorldError:
            tries -= 1
            if not tries:
                raise
            time.sleep(patience.log_pause_seconds * 2 ** (patience.log_tries - 1 - tries))


def _wait_for_log(run: JobRun, thread: threading.Thread, log: HostLog) -> None:
    """Until the log has been read to its end, or as far as it comes: a connection to an engine elsewhere may be dead
    without saying so."""
    ended_at = time.monotonic()
    while thread.is_alive():
        thread.join(POLL_EVERY_SECONDS)
        if run.caller.cancelled.is_set():
            raise Cancelled("it has ended; `sagespec apply` collects its results")
        if time.monotonic() - max(ended_at, log.read_at) > run.jobs.patience.log_end_seconds:
            run.note(f"the log of {log.launch.alias} does not end; keeping what was read of it")
            return
