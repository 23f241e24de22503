"""Runs one training job: inputs in, containers followed to their end, results to the store.

Called for a RunJob by whoever has the job's lease, in a thread of its own, without the project's lock. `run` starts
from whatever an earlier run left: no containers, running ones, or ones that ended and were not collected. The manifest
is written when everything else is in the store, and only then are the containers removed, so a model is never lost and
never trained twice. What the platform ended is tried again, from its checkpoints. docs/jobs.md explains it to users.

    start.py        no containers yet: begin
    follow.py       containers that run: follow
    collect.py      containers that have ended: collect
    jobs.py         what those three work on
    attempts.py     how often the job was begun, and whether it may be once more
    notes.py        how it began and why it was stopped, for whoever follows it next
    checkpoints.py  a folder of the containers, kept in the store
    faults.py       whose fault an end is
    hosts.py        the containers, as they are seen to end
    stops.py        requests to stop
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.events import Caller
from sagespec.records.lease import LeaseSeized
from sagespec.run.attempts import Attempts
from sagespec.run.collect import collect, record_unstarted
from sagespec.run.follow import follow
from sagespec.run.jobs import JobRun, Jobs, job_run
from sagespec.run.notes import known_start
from sagespec.run.start import begin
from sagespec.run.stops import StopRequests
from sagespec.state.desired import DesiredJob
from sagespec.state.faults import fix_for
from sagespec.state.manifest import JobStatus, Manifest


def run_job(jobs: Jobs, job: DesiredJob, caller: Caller) -> None:
    """Train `job`, or pick it up where it is. WorldError if it ends without a model; its manifest says why.

    The caller's guard is checked again at the end, as a job may take hours: someone else may have trained it by then,
    and their model must not be overwritten.
    """
    attempts = Attempts(jobs.records, job, jobs.clock)
    stop = StopRequests(jobs.records, job.address, attempts.manifest)
    stop.refresh()
    with stop.watched(jobs.clock):
        manifest = None
        while manifest is None:
            manifest = _attempt_if_wanted(job_run(jobs, job, attempts, stop, caller))
    if manifest.status is not JobStatus.COMPLETED:
        raise WorldError(manifest.verdict, fix=fix_for(manifest.reason, job.address))


def _attempt_if_wanted(run: JobRun) -> Manifest | None:
    """One attempt; whoever takes the job away removes the containers that they see, and we those made since."""
    try:
        return _attempt(run)
    except LeaseSeized:
        run.containers.remove()
        raise


def _attempt(run: JobRun) -> Manifest | None:
    """One attempt, started or picked up; None if the platform ended it and another one is due."""
    if not run.containers.are_there() and (fault := begin(run)):
        return record_unstarted(run, fault)
    started = known_start(run.attempts, run.jobs.runtime, [launch.name for launch in run.launches])
    if started is None:
        run.note("how its containers were started is not known; it is started again")
    if started is None or run.attempts.has_ended(started.attempt):  # only its containers are left
        run.caller.guard()
        run.containers.remove()
        return None
    with tempfile.TemporaryDirectory(dir=run.jobs.scratch) as folder:
        ended = follow(run, started, Path(folder))
        return collect(run, ended)
