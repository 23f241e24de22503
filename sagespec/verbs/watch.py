"""Applies on every change of a spec, every engine event and a timer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Protocol

from sagespec.apply.absences import ABSENT_SECONDS, Absences
from sagespec.apply.failures import Failures
from sagespec.apply.repairs import Repairs
from sagespec.events import Report
from sagespec.parts import Parts
from sagespec.passes import Run, Surroundings
from sagespec.reconcile.options import Options
from sagespec.serve.repair import Repair
from sagespec.standby import Standby
from sagespec.state.source import SourceRecord
from sagespec.traffic.recorder import Recorder
from sagespec.verbs.apply import look_again
from sagespec.verbs.feedback import keep
from sagespec.verbs.locked import LATER_PASSES_WAIT_SECONDS, report_runtime, run_of, take_back_of
from sagespec.verbs.monitor import Monitor
from sagespec.verbs.notifying import Notifier
from sagespec.verbs.plan import refuse_partial_prune, why_unsettled
from sagespec.verbs.proposals import Proposal, Proposing
from sagespec.verbs.proposing import Proposer, in_checkout
from sagespec.verbs.steering import rollouts_alone
from sagespec.world import World


class Pulled(Protocol):
    """move: to the commit in force; called before each pass. settled: told when passes have come as far as they can for
    now. polling: look at the repository while the block lasts, and wake when there is another commit. proposing: where
    pull requests go; WorldError where none can be opened."""

    def move(self) -> None: ...
    def record(self) -> SourceRecord: ...
    def settled(self, run: Run) -> None: ...
    def proposing(self, body: Callable[[Proposal], str]) -> Proposing: ...
    def polling(self, wake: Callable[[], object], cancelled: threading.Event) -> AbstractContextManager[None]: ...


def watch(
    parts: Parts,
    options: Options,
    *,
    report: Report,
    cancelled: threading.Event | None,
    every_seconds: float,
    wakes: queue.SimpleQueue[str] | None = None,
    pulled: Pulled | None = None,
    body: Callable[[Proposal], str] | None = None,
) -> None:
    """pulled: what keeps the project at a commit of a repository, in place of files that somebody edits. body: of the
    pull requests that are opened for models that are trained; None for none."""
    from sagespec.watch import watch as woken

    refuse_partial_prune(parts, options)
    report_runtime(parts, report)
    record = pulled.record if pulled else None
    monitor = Monitor(parts, record) if parts.settings.prometheus else None
    notifier = Notifier(parts, record)
    report = notifier.heard(monitor.heard(report) if monitor else report)
    proposer = _proposer(parts, pulled, body) if body else None
    report = proposer.heard(report) if proposer else report
    standby = _standby(parts, report)
    run = _run(parts, options, standby, monitor, pulled, report=report, cancelled=cancelled)
    run.undelivered = notifier.undelivered
    wakes = wakes or queue.SimpleQueue()
    with _beside(parts, run, monitor, pulled, wakes), notifier, proposer or nullcontext():
        woken(
            run,
            standby,
            parts.runtime,
            [] if pulled else [parts.root / path for path in (*parts.specs, *parts.settings_files)],
            every_seconds=every_seconds,
            wakes=wakes,
            alone=_alone(parts, standby, run.around.open_world, report=report, cancelled=cancelled),
            settled=partial(_settled, pulled, notifier, proposer),
        )


def _standby(parts: Parts, report: Report) -> Standby:
    """What looks after all that serves while no pass gets through."""
    repair = Repair(lambda: parts.runtime, lambda: parts.gateway, report, is_wanted=partial(_repairs_drift, parts))
    return Standby(repair, report, take_back_of(parts, report), lambda: parts.waits.seconds)


def _run(
    parts: Parts,
    options: Options,
    standby: Standby,
    monitor: Monitor | None,
    pulled: Pulled | None,
    *,
    report: Report,
    cancelled: threading.Event | None,
) -> Run:
    """A run without an end: patient with what failed, and slow with what does not stay repaired."""
    run = run_of(
        parts,
        "watch",
        partial(look_again, parts),
        options,
        report=report,
        cancelled=cancelled,
        wait_seconds=LATER_PASSES_WAIT_SECONDS,
        seen_held=standby.leave_to_another,
        say_runtime=False,
    )
    around = standby.around(monitor.around(run.around) if monitor else run.around)
    return Run(
        _moving(around, pulled) if pulled else around,
        run.caller,
        options,
        yields=False,
        failures=Failures(is_patient=True),
        absences=Absences(ABSENT_SECONDS, partial(why_unsettled, parts), report),
        repairs=Repairs(report, slows=True, is_wanted=partial(_repairs_drift, parts)),
    )


@contextmanager
def _beside(
    parts: Parts, run: Run, monitor: Monitor | None, pulled: Pulled | None, wakes: queue.SimpleQueue[str]
) -> Iterator[None]:
    """What works in threads of its own while passes are made: the gateway's counters are read, the figures shown, the
    repository looked at."""
    from sagespec.watch import REQUEST

    shown = monitor.shown(run) if monitor else nullcontext()
    also = monitor.read if monitor else lambda _totals: None
    recorder = Recorder(lambda: parts.gateway, parts.traffic, parts.traffic_file, also=also, keep=lambda: keep(parts))
    polling = pulled.polling(lambda: wakes.put(REQUEST), run.caller.cancelled) if pulled else nullcontext()
    with shown, recorder, polling:
        yield


def _repairs_drift(parts: Parts) -> bool:
    return parts.settings.drift == "repair"


def _settled(pulled: Pulled | None, notifier: Notifier, proposer: Proposer | None, run: Run) -> None:
    for one in (pulled, notifier, proposer):
        if one:
            one.settled(run)


def _proposer(parts: Parts, pulled: Pulled | None, body: Callable[[Proposal], str]) -> Proposer:
    def open_parts() -> Parts:
        return Parts(
            parts.root,
            parts.given_specs,
            parts.runtime_choice,
            state_dir=parts.home,
            environment=parts.environment,
            secrets=parts.given_secrets,
        )

    if pulled is None:
        return Proposer(open_parts, lambda: in_checkout(parts.root, body))
    return Proposer(open_parts, lambda: pulled.proposing(body), lambda: pulled.record().working)


def _alone(
    parts: Parts,
    standby: Standby,
    open_world: Callable[[], World],
    *,
    report: Report,
    cancelled: threading.Event | None,
) -> Run:
    """Of the rollouts that have begun, and of nothing else."""
    alone = run_of(
        parts,
        "watch",
        partial(rollouts_alone, parts),
        Options(),
        report=report,
        cancelled=cancelled,
        say_runtime=False,
        registers=False,
    )
    alone.around = standby.around(replace(alone.around, open_world=open_world))
    return alone


def _moving(around: Surroundings, pulled: Pulled) -> Surroundings:
    """The same, each pass begun at the commit that is in force then."""

    def open_world() -> World:
        pulled.move()
        return around.open_world()

    return replace(around, open_world=open_world)
