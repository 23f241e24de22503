"""What `start`, `follow` and `collect` work on: the `Jobs` of a project, and one `JobRun`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sagespec.clock import Clock, RealClock
from sagespec.errors import Cancelled
from sagespec.events import Caller, Event, EventKind
from sagespec.inputs.delivery import Inputs
from sagespec.inputs.pipes import feeder_launches
from sagespec.plan import RunJob
from sagespec.records.records import Records
from sagespec.run.attempts import Attempts
from sagespec.run.checkpoints import Checkpoints
from sagespec.run.hosts import JobContainers
from sagespec.run.launches import training_launches
from sagespec.run.metrics import Patterns
from sagespec.run.patience import Patience, T, patiently
from sagespec.run.stops import StopAsked, StopRequests
from sagespec.runtimes.protocol import Runtime
from sagespec.state.desired import DesiredJob
from sagespec.state.launches import Launch
from sagespec.state.manifest import Git, RunBy
from sagespec.stores.open import open_store


@dataclass(frozen=True)
class Jobs:
    """What is the same for all jobs of a project.

    metrics: the patterns that each built-in declares. root: the project's folder. scratch: a folder for temporary
    files. by: who runs all this.
    """

    runtime: Runtime
    records: Records
    inputs: Inputs
    metrics: Mapping[str, Patterns]
    root: Path
    scratch: Path
    git: Callable[[], Git | None] = lambda: None
    by: RunBy | None = None
    patience: Patience = field(default_factory=Patience)
    clock: Clock = field(default_factory=RealClock)


@dataclass(frozen=True)
class JobRun:
    """One attempt at a job, started by us or picked up, with everything known about it.

    launches: of the hosts, the master first. attempts: this one and those before it, as in the store. caller: whoever
    follows the job; its guard, the job's lease, is checked before anything is written to the store.
    """

    jobs: Jobs
    job: DesiredJob
    attempts: Attempts
    stop: StopRequests
    caller: Caller
    launches: tuple[Launch, ...]
    containers: JobContainers
    checkpoints: Checkpoints | None

    def note(self, text: str) -> None:
        self.report(EventKind.NOTE, text)

    def progress(self, text: str) -> None:
        self.keep_going()
        self.report(EventKind.PROGRESS, text)

    def report(self, kind: EventKind, text: str, *, about: str = "", at: datetime | None = None) -> None:
        """about: a host; default: the job itself. at: when a line was printed."""
        self.caller.report(Event(kind, about or str(self.job.address), text, action=RunJob.verb, at=at))

    def keep_going(self) -> None:
        """Called often by what may take hours before the job runs; raises when it is to end."""
        if self.stop.request:
            raise StopAsked
        if self.caller.cancelled.is_set():
            raise Cancelled("stopped before it started")

    def patiently(self, do: Callable[[], T]) -> T:
        """What `do` returns, tried again for a while; never without the lease under which the job is followed."""

        def do_if_still_ours() -> T:
            self.caller.guard()
            return do()

        return self.patiently_whoever_holds_it(do_if_still_ours)

    def patiently_whoever_holds_it(self, do: Callable[[], T]) -> T:
        """The same with or without the lease: a job that has to stop is stopped, whoever collects it then."""
        return patiently(do, self.jobs.patience, note=self.note, cancelled=self.caller.cancelled)


def job_run(jobs: Jobs, job: DesiredJob, attempts: Attempts, stop: StopRequests, caller: Caller) -> JobRun:
    """The present or next attempt at a job. Asks no engine yet."""
    launches = training_launches(jobs.records.project_name, job)

    def note(text: str) -> None:
        caller.report(Event(EventKind.NOTE, str(job.address), text, action=RunJob.verb))

    containers = JobContainers(
        jobs.runtime,
        launches,
        feeder_launches(jobs.records.project_name, job, launches),
        note=note,
        patience_seconds=jobs.patience.seconds,
    )
    return JobRun(jobs, job, attempts, stop, caller, launches, containers, _checkpoints(jobs, job, launches, note))


def _checkpoints(
    jobs: Jobs, job: DesiredJob, launches: tuple[Launch, ...], note: Callable[[str], None]
) -> Checkpoints | None:
    if job.checkpoints is None:
        return None
    if job.checkpoints.source:
        store, prefix = open_store(job.checkpoints.source, root=jobs.root), ""
    else:
        store, prefix = jobs.records.store, jobs.records.job_key(job.address, "checkpoints/")
    return Checkpoints(
        jobs.runtime, launches, path=job.checkpoints.path, store=store, prefix=prefix, scratch=jobs.scratch, note=note
    )
