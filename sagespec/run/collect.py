"""Collects what an attempt left: logs, output and model to the store, then the manifest, then the containers go.

Called by `run` when all containers have ended. The manifest is the commit: it is written last, and only then are the
containers removed. To be killed anywhere here means to do it again.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sagespec import __version__
from sagespec.errors import Problem, WorldError, disk_problems
from sagespec.events import ByteCounter, Event, EventKind
from sagespec.masking import masked
from sagespec.plan import RunJob
from sagespec.records.folders import Read
from sagespec.records.members import UnfitMember
from sagespec.records.packing import pack
from sagespec.run.faults import HostEnd, Verdict, judge
from sagespec.run.follow import Ended
from sagespec.run.jobs import JobRun
from sagespec.run.metrics import final_values, series_of
from sagespec.run.reads import reads_of, shortfall
from sagespec.run.unsaved import no_model_note
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.launches import Launch
from sagespec.state.manifest import Artifact, JobStatus, Manifest


def collect(run: JobRun, ended: Ended) -> Manifest | None:
    """The manifest, once all results are in the store; None when the platform ended the attempt and another is due."""
    run.caller.guard()
    if run.checkpoints:
        run.patiently(run.checkpoints.keep_rest)
    ends = run.patiently(partial(_ends, run, ended))
    verdict = judge(ends, ended.ending)
    if verdict.is_platforms and run.stop.fault:
        verdict = Verdict(JobStatus.STOPPED, run.stop.fault)
    reads = run.patiently(partial(reads_of, run))
    if verdict.status is JobStatus.COMPLETED and (fault := shortfall(reads, ended.started.inputs)):
        verdict = Verdict(JobStatus.FAILED, fault, is_platforms=True)
    seconds = run.jobs.clock.now().timestamp() - ended.started.training_from
    if verdict.is_platforms and run.attempts.may_go_on(seconds):
        _close_attempt(run, ended, verdict, seconds)
        return None
    results = _store_results(run, ended, ends, verdict)
    manifest = _manifest_of_ended(run, ended, ends, results).model_copy(update={"read": reads})
    run.patiently(lambda: _commit(run, manifest))
    run.patiently(run.containers.remove)
    run.jobs.inputs.sweep(run.jobs.records.project_name)
    return manifest


def record_unstarted(run: JobRun, fault: Fault) -> Manifest:
    """The manifest of a job that ended while it waited, or while its data were fetched."""
    run.caller.guard()
    manifest = _manifest(
        run,
        Verdict(JobStatus.STOPPED, fault),
        git=run.jobs.git(),
        started_at=run.attempts.wanted_at,
        ended_at=run.jobs.clock.now(),
        attempts=run.attempts.all,
    )
    _commit(run, manifest)
    return manifest


def _commit(run: JobRun, manifest: Manifest) -> None:
    """The manifest, and then without what it makes needless. Containers that are still there remind whoever removes
    them, should this be killed between the two."""
    records = run.jobs.records
    records.write_manifest(manifest)
    if run.attempts.is_kept or run.stop.request:
        with suppress(WorldError):  # records older than the manifest are ignored anyway
            records.forget(run.job.address)


def _close_attempt(run: JobRun, ended: Ended, verdict: Verdict, seconds: float) -> None:
    """Keep the logs of an attempt that will be followed by another, and make room for it."""
    number = run.attempts.number
    logs = {host: _upload(run, f"logs/{host}.{number}.log", log.file) for host, log in ended.logs.items()}
    run.patiently(lambda: run.attempts.end(verdict.reason, seconds, logs))
    run.note(f"attempt {ended.started.attempt} of {run.job.retries + 1}: {verdict.reason}; trying again")
    run.patiently(run.containers.remove)


def _ends(run: JobRun, ended: Ended) -> tuple[HostEnd, ...]:
    """How each host ended, with what it left to say."""
    ends = []
    for launch in run.launches:
        container = run.containers.by_alias[launch.alias]
        has_failed = container is not None and container.exit_code
        failure = run.jobs.runtime.read(launch.name, "output/failure") if has_failed else None
        text = masked((failure or b"").decode(errors="replace"))
        unrun = run.jobs.runtime.why_not_run(launch.name) if has_failed and not text else ""
        said = tuple(ended.logs[launch.alias].last_lines)
        ends.append(HostEnd(launch.alias, container, run.containers.ends[launch.alias], text, said, unrun))
    return tuple(ends)


# -- results


@dataclass
class _Results:
    """notes: what a person should know of them."""

    verdict: Verdict
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_no_model: bool = False
    training_until: datetime = field(kw_only=True)
    uploading_seconds: float = 0.0


def _store_results(run: JobRun, ended: Ended, ends: Sequence[HostEnd], verdict: Verdict) -> _Results:
    """Logs, output and model to the store. A model is kept only from hosts that all ended well, or were stopped by
    us."""
    results, begun = _Results(verdict, training_until=run.jobs.clock.now()), time.monotonic()
    there = [
        launch for launch, end in zip(run.launches, ends, strict=True) if end.container and not end.container.is_lost
    ]
    results.artifacts |= {
        f"logs/{host}": _upload(run, f"logs/{host}.log", log.file) for host, log in ended.logs.items()
    }
    if there and verdict.status is not JobStatus.FAILED:
        try:
            model = ended.folder / "model.tar.gz"
            results.notes += pack(_reads(run, there, "model"), model, "/opt/ml/model")
            if verdict.status is JobStatus.COMPLETED and not _has_files(model):
                results.left_no_model = True
                results.notes.append(no_model_note(run, ended.started.training_from))
            results.artifacts["model"] = _upload(run, "model.tar.gz", model)
        except UnfitMember as unfit:  # a verdict on the output: collecting it again would end the same way
            _keep_unfit(run, there, ended.folder, results, unfit.problems[0])
    if there:
        _store_output(run, there, ended.folder, results)
    results.uploading_seconds = time.monotonic() - begun
    return results


def _keep_unfit(run: JobRun, launches: Sequence[Launch], folder: Path, results: _Results, problem: Problem) -> None:
    """A model that cannot be a model.tar.gz fails the job, but what was made is kept, as each host left it."""
    keys = []
    for launch, read in zip(launches, _reads(run, launches, "model"), strict=True):
        key = "model.unfit.tar" if len(launches) == 1 else f"model.unfit.{launch.alias}.tar"
        file = folder / key
        with disk_problems(f"cannot write {file}"), file.open("wb") as target:
            target.writelines(read())
        results.artifacts[key.removesuffix(".tar")] = _upload(run, key, file)
        file.unlink()
        keys.append(run.jobs.records.job_key(run.job.address, key))
    fix = f"{problem.fix}; the folder is kept as it was, in the store: {', '.join(keys)}"
    reason = f"{problem.what}; {problem.why}; {fix}" if problem.why else f"{problem.what}; {fix}"
    results.verdict = Verdict(JobStatus.FAILED, Fault(FaultKind.ALGORITHM, reason))


def _store_output(run: JobRun, launches: Sequence[Launch], folder: Path, results: _Results) -> None:
    """No host unpacks it, so nothing in it fails a job: what has no place in an archive is left out, with a note."""
    output, place = folder / "output.tar.gz", "/opt/ml/output/data"
    results.notes += pack(_reads(run, launches, "output/data"), output, place, leaves_out=True)
    if _has_files(output):
        results.artifacts["output"] = _upload(run, "output.tar.gz", output)
    for note in results.notes:
        run.note(note)


def _reads(run: JobRun, launches: Sequence[Launch], path: str) -> list[Read]:
    """The folder `path` of each host, as the engine gives it."""
    return [partial(run.jobs.runtime.get, launch.name, path) for launch in launches]


def _has_files(archive: Path) -> bool:
    with tarfile.open(archive) as tar:
        return any(member.isfile() for member in tar)


def _upload(run: JobRun, key: str, file: Path) -> Artifact:
    return run.patiently(lambda: _upload_once(run, key, file))


def _upload_once(run: JobRun, key: str, file: Path) -> Artifact:
    records = run.jobs.records
    progress = Event(EventKind.PROGRESS, str(run.job.address), f"storing {key}", action=RunJob.verb)
    counter = ByteCounter(run.caller.report, progress)
    counter.begin(file.stat().st_size)
    stored = records.store.upload(records.job_key(run.job.address, key), file, counter.add)
    return Artifact(key=key, size=stored.size, sha256=stored.sha256)


# -- manifests


def _manifest_of_ended(run: JobRun, ended: Ended, ends: Sequence[HostEnd], results: _Results) -> Manifest:
    started, until = ended.started, results.training_until
    series = series_of((log.metrics for log in ended.logs.values()), started.started_at.timestamp())
    training = (until - started.started_at).total_seconds() - started.downloading_seconds
    return _manifest(
        run,
        results.verdict,
        git=started.git,
        images={str(run.job.program): started.image_digest},
        inputs=started.inputs,
        metrics=final_values(series),
        series=series,
        exit_codes={end.host: end.exit_code for end in ends if end.container and not end.container.is_lost},
        artifacts=results.artifacts,
        notes=tuple(results.notes),
        left_no_model=results.left_no_model,
        started_at=started.started_at,
        ended_at=until,
        seconds={
            "downloading": round(started.downloading_seconds, 3),
            "training": round(training, 3),
            "uploading": round(results.uploading_seconds, 3),
        },
        attempts=run.attempts.all_ended(until, training, results.verdict.reason),
    )


def _manifest(run: JobRun, verdict: Verdict, **more: Any) -> Manifest:
    """With what every manifest says of its job."""
    job = run.job
    return Manifest(
        project=run.jobs.records.project_name,
        name=job.name,
        version=job.version,
        key=job.key,
        key_fields=dict(job.key_fields),
        files={field: dict(files) for field, files in job.files.items()},
        status=verdict.status,
        reason=verdict.reason,
        spec=dict(job.spec),
        sagespec_version=__version__,
        runtime=run.jobs.runtime.name,
        protect=job.protect,
        by=run.jobs.by,
        **more,
    )
