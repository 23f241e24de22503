"""Carries one training job out: inputs in, containers followed to their end, results to the store.

Called by `apply` for a RunJob. Begins wherever the containers show that an earlier run stopped: none
there, running, or ended and not collected. The manifest is written when everything else is in the
store, and only then are the containers removed, so a model is never lost and never trained twice.
"""

from __future__ import annotations

import math
import re
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from sagespec import __version__
from sagespec.archive import UnfitMember, pack, unpack
from sagespec.contract import (
    CODE_FOLDER,
    FAILURE_REASON_LENGTH,
    FOLDERS,
    STOP_GRACE_SECONDS,
    config_files,
    training_environment,
    training_launches,
)
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.manifest import Artifact, Git, Input, JobStatus, Manifest
from sagespec.metrics import FoundMetrics, Patterns, final_values, series_of
from sagespec.records import Records
from sagespec.runtimes import Runtime
from sagespec.sources import copy_source
from sagespec.state import Container, ContainerState, DesiredCode, DesiredJob, Launch
from sagespec.stores import open_store
from sagespec.train.inputs import FEEDER, Inputs, feeder_failure, feeder_launches

STARTED_FILE = "input/config/sagespec.json"  # beside SageMaker's own: what the manifest must still know at the end
LOOK_EVERY_SECONDS = 0.1
MAX_CODE_BYTES = 2 * 2**30  # an unpacked sourcedir.tar.gz larger than this is taken for a bomb
REASON_LOG_LINES = 5
LOG_TRIES = 5  # in a row, when the engine breaks off a log
LOG_PAUSE_SECONDS = 0.5
_FAULT = re.compile(r"\w+Error: ")  # begins a FailureReason
STOPPED_CODES = (137, 143)  # of SIGKILL and SIGTERM


class Cancelled(Exception):
    """Stopped on request; what runs is left running and the next apply takes it up."""


class JobFailed(WorldError):
    """The job has ended without a model; its manifest says so."""


class Started(BaseModel):
    """Facts of a job's start that its end needs, kept in the first container so that they outlive this process."""

    started_at: datetime
    image_digest: str
    inputs: dict[str, Input]
    git: Git | None
    downloading_seconds: float


@dataclass
class Followed:
    """What the log of one host gave so far."""

    metrics: FoundMetrics
    last_lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trainer:
    """metrics: the patterns that each built-in declares itself. scratch: a folder for what may be lost."""

    runtime: Runtime
    records: Records
    inputs: Inputs
    metrics: Mapping[str, Patterns]
    root: Path
    scratch: Path
    git: Git | None = None

    def run(
        self,
        job: DesiredJob,
        report: Report,
        cancelled: threading.Event,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """Train `job`, or take it up where it stands. JobFailed when it ended without a model.

        guard: raises when the project's lock is lost. Asked again after the hours a job may take: somebody else
        may have trained it meanwhile, and their model is not to be written over.
        """
        launches = training_launches(self.records.project_name, job)
        feeders = feeder_launches(self.records.project_name, job, launches)
        containers = [self.runtime.inspect(launch.name) for launch in launches]
        if all(container is None for container in containers):  # one that is missing alone is told by `_wait`
            try:
                self._start(job, launches, report, cancelled)
            except BaseException:
                for launch in (*launches, *feeders):  # what was not started whole is of no use to the next run
                    self.runtime.remove(launch.name)
                raise
        started = self._read_started(launches[0], job)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            logs = {launch.alias: Path(folder, f"{launch.alias}.log") for launch in launches}
            followed, stopped = self._follow(job, launches, feeders, logs, started, report, cancelled)
            guard()
            manifest = self._collect(job, launches, logs, followed, stopped, started, Path(folder), report)
        for launch in (*launches, *feeders):
            self.runtime.remove(launch.name)
        self.inputs.sweep(self.records.project_name)
        if manifest.status is not JobStatus.COMPLETED:
            raise JobFailed(f"{manifest.status}: {manifest.reason}", fix=f"see `sagespec logs {job.address}`")

    # -- start -------------------------------------------------------------------------------------

    def _start(self, job: DesiredJob, launches: Sequence[Launch], report: Report, cancelled: threading.Event) -> None:
        def tell(text: str) -> None:
            report(Event(EventKind.PROGRESS, str(job.address), text, action="run-job"))

        def look() -> None:
            if cancelled.is_set():
                raise Cancelled("stopped before it was started")

        digest = self.runtime.prepare(job.program, tell)
        begun, now = time.monotonic(), datetime.now(UTC)
        processors = math.ceil(self.runtime.capacity().cpus)
        launches = [replace(launch, environment=self._environment(job, launch, processors)) for launch in launches]
        with self.inputs.delivery(job, launches, self.records.project_name, report, look) as delivery:
            if delivery.feeders:
                self.runtime.prepare(FEEDER, tell)
            self.runtime.create([*delivery.hosts, *delivery.feeders])
            self._make_folders(launches)
            delivery.put()
        if job.code:
            self._put_code(job.code, launches)
        started = Started(
            started_at=now,
            image_digest=digest,
            inputs=delivery.inputs,
            git=self.git,
            downloading_seconds=time.monotonic() - begun,
        )
        for launch in launches:
            files = dict(config_files(job, launch.alias, self.runtime.base_dir(launch.name)))
            files[STARTED_FILE] = started.model_dump_json().encode()
            self.runtime.write(launch.name, files)
        look()
        delivery.start_feeders()
        for launch in launches:
            self.runtime.start(launch.name)

    def _environment(self, job: DesiredJob, launch: Launch, processors: int) -> dict[str, str]:
        base_dir = self.runtime.base_dir(launch.name)
        return training_environment(job, launch.alias, base_dir, processors=processors)

    def _make_folders(self, launches: Sequence[Launch]) -> None:
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            for folder in FOLDERS:
                Path(scratch, folder).mkdir(parents=True)
            for launch in launches:
                self.runtime.put(launch.name, "", Path(scratch))

    def _put_code(self, code: DesiredCode, launches: Sequence[Launch]) -> None:
        """The script and what stands beside it into every host's code/."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            folder = Path(scratch, "code")
            folder.mkdir()
            if code.source.startswith("s3://") or code.source.endswith(".tar.gz"):
                archive = Path(scratch, "sourcedir.tar.gz")
                above, _, name = code.source.rpartition("/")
                open_store(above, root=self.root, create=False).download(name, archive)
                unpack(archive, folder, max_bytes=MAX_CODE_BYTES)
            else:
                copy_source(self.root / code.source, folder)
            for launch in launches:
                self.runtime.put(launch.name, CODE_FOLDER, folder)

    def _read_started(self, launch: Launch, job: DesiredJob) -> Started:
        content = self.runtime.read(launch.name, STARTED_FILE)
        if content is None:
            raise WorldError(
                f"container {launch.name} of {job.address} has lost its notes",
                fix=f"remove it and apply again: {launch.name}",
            )
        return Started.model_validate_json(content)

    # -- follow ------------------------------------------------------------------------------------

    def _follow(
        self,
        job: DesiredJob,
        launches: Sequence[Launch],
        feeders: Sequence[Launch],
        logs: Mapping[str, Path],
        started: Started,
        report: Report,
        cancelled: threading.Event,
    ) -> tuple[dict[str, Followed], str]:
        """Follow all hosts to their end; what their logs gave, and why they were stopped ('' if they were not).

        One host failing stops the others, with the grace. Cancelled leaves them running.
        """
        patterns = patterns_of(job, self.metrics)
        followed = {launch.alias: Followed(FoundMetrics(patterns)) for launch in launches}
        threads = [
            threading.Thread(
                target=self._follow_log,
                args=(job, launch, logs[launch.alias], followed[launch.alias], report),
                name=f"log-{launch.name}",
                daemon=True,
            )
            for launch in launches
        ]
        for thread in threads:
            thread.start()
        stopped = self._wait(job, launches, feeders, started, cancelled)
        for thread in threads:
            thread.join()
        return followed, stopped

    def _follow_log(self, job: DesiredJob, launch: Launch, log: Path, followed: Followed, report: Report) -> None:
        about = str(replace(job.address, instance=launch.address.instance if job.instances > 1 else None))
        try:
            with log.open("w", encoding="utf-8") as file:
                for at, line in self._lines(launch.name):
                    file.write(line + "\n")
                    followed.last_lines = [*followed.last_lines[1 - REASON_LOG_LINES :], line]
                    followed.metrics.read(at, line)
                    report(Event(EventKind.LOG, about, line, action="run-job"))
        except FileNotFoundError:
            return  # the run had let go of the job, and of its folder, before this thread began
        except WorldError as error:  # without the end of its log a model is still a model
            text = f"its log is not whole: {error.problems[0].what}"
            report(Event(EventKind.NOTE, about, text, action="run-job"))

    def _lines(self, container_name: str) -> Iterator[tuple[float, str]]:
        """What the container prints until it ends, each line with its time. A stream that the engine breaks off is
        read again from its beginning, and what was given is left out; WorldError when that does not help."""
        given, tries = 0, LOG_TRIES
        while True:
            try:
                for number, line in enumerate(self.runtime.timed_logs(container_name, follow=True), start=1):
                    if number > given:
                        given, tries = number, LOG_TRIES
                        yield line
                return
            except WorldError:
                tries -= 1
                if not tries:
                    raise
                time.sleep(LOG_PAUSE_SECONDS)

    def _wait(
        self,
        job: DesiredJob,
        launches: Sequence[Launch],
        feeders: Sequence[Launch],
        started: Started,
        cancelled: threading.Event,
    ) -> str:
        deadline = started.started_at.timestamp() + started.downloading_seconds + job.max_runtime
        while True:
            containers = [self._still_there(launch, job) for launch in launches]
            ended = [c for c in containers if c.state is ContainerState.EXITED]
            # Looked at last and told first: a host may end, even well, because its pipe broke off.
            if fault := next(filter(None, (feeder_failure(self.runtime, feeder) for feeder in feeders)), ""):
                self._stop([c for c in containers if c not in ended])
                return fault
            if len(ended) == len(launches):
                return ""
            if any(c.exit_code for c in ended):
                self._stop([c for c in containers if c not in ended])
                return ""
            if time.time() > deadline:
                self._stop(containers)
                return f"MaxRuntimeExceeded: it ran longer than {job.max_runtime:g} s"
            if cancelled.wait(LOOK_EVERY_SECONDS):
                raise Cancelled(f"{job.address} goes on without us; `sagespec apply` takes it up again")

    def _still_there(self, launch: Launch, job: DesiredJob) -> Container:
        container = self.runtime.inspect(launch.name)
        if container is None:
            raise WorldError(
                f"container {launch.name} of {job.address} was removed while it ran",
                why="somebody removed it, or the engine has lost it",
                fix="apply again: the job is run anew",
            )
        return container

    def _stop(self, containers: Sequence[Container]) -> None:
        with ThreadPoolExecutor(max(1, len(containers))) as pool:
            list(pool.map(lambda c: self.runtime.stop(c.name, grace_seconds=STOP_GRACE_SECONDS), containers))

    # -- collect -----------------------------------------------------------------------------------

    def _collect(
        self,
        job: DesiredJob,
        launches: Sequence[Launch],
        logs: Mapping[str, Path],
        followed: Mapping[str, Followed],
        stopped: str,
        started: Started,
        folder: Path,
        report: Report,
    ) -> Manifest:
        """Logs, output and model to the store, the manifest last. A model is kept only from hosts that all
        ended well, or were stopped by us."""
        ended_at = datetime.now(UTC)
        ended = {launch.alias: self._still_there(launch, job) for launch in launches}
        exit_codes = {host: container.exit_code or 0 for host, container in ended.items()}
        status = self._status(exit_codes, stopped)
        reason = stopped or ("" if status is JobStatus.COMPLETED else self._failure_reason(launches, ended, followed))
        begun = time.monotonic()
        artifacts = {}
        for host, log in logs.items():
            artifacts[f"logs/{host}"] = self._upload(job, f"logs/{host}.log", log, report)
        try:
            if status is not JobStatus.FAILED:
                artifacts["model"] = self._upload(job, "model.tar.gz", self._pack(launches, "model", folder), report)
            output = self._pack(launches, "output/data", folder)
            if _has_members(output):
                artifacts["output"] = self._upload(job, "output.tar.gz", output, report)
        except UnfitMember as unfit:  # a verdict on what was made: to collect it again would end the same
            status, reason = JobStatus.FAILED, f"AlgorithmError: {unfit.problems[0].what}"
        series = series_of((followed[launch.alias].metrics for launch in launches), started.started_at.timestamp())
        manifest = Manifest(
            project=self.records.project_name,
            name=job.name,
            version=job.version,
            key=job.key,
            key_fields=dict(job.key_fields),
            status=status,
            reason=reason,
            spec=dict(job.spec),
            git=started.git,
            sagespec_version=__version__,
            runtime=self.runtime.name,
            images={str(job.program): started.image_digest},
            inputs=started.inputs,
            metrics=final_values(series),
            series=series,
            exit_codes=exit_codes,
            artifacts=artifacts,
            started_at=started.started_at,
            ended_at=ended_at,
            seconds={
                "downloading": round(started.downloading_seconds, 3),
                "training": round((ended_at - started.started_at).total_seconds() - started.downloading_seconds, 3),
                "uploading": round(time.monotonic() - begun, 3),
            },
            protect=job.protect,
        )
        self.records.write_manifest(manifest)
        return manifest

    @staticmethod
    def _status(exit_codes: Mapping[str, int], stopped: str) -> JobStatus:
        if stopped:
            return JobStatus.FAILED if _FAULT.match(stopped) else JobStatus.STOPPED
        return JobStatus.FAILED if any(exit_codes.values()) else JobStatus.COMPLETED

    def _failure_reason(
        self, launches: Sequence[Launch], ended: Mapping[str, Container], followed: Mapping[str, Followed]
    ) -> str:
        """What SageMaker calls the FailureReason: the first 1,024 characters of a host's output/failure, or its
        exit code and last lines. Of several failed hosts a ClientError tells most, and one that was ended by
        a signal least: the others are sent one when the first fails."""
        failed = [launch for launch in launches if ended[launch.alias].exit_code]
        failed.sort(key=lambda launch: _looks_stopped(ended[launch.alias]))
        reasons = [self._host_failure(launch, ended[launch.alias], followed[launch.alias]) for launch in failed]
        return next((reason for reason in reasons if reason.startswith("ClientError")), reasons[0])

    def _host_failure(self, launch: Launch, container: Container, followed: Followed) -> str:
        content = self.runtime.read(launch.name, "output/failure")
        if content and content.strip():
            text = content.decode(errors="replace").strip()[:FAILURE_REASON_LENGTH]
            return text if _FAULT.match(text) else f"AlgorithmError: {text}"
        note = f" ({container.note})" if container.note else ""
        reason = f"AlgorithmError: {launch.alias} exited with code {container.exit_code}{note}"
        said = "\n".join(followed.last_lines)
        return f"{reason}; its last lines:\n{said}" if said else reason

    def _pack(self, launches: Sequence[Launch], path: str, folder: Path) -> Path:
        """The folders `path` of all hosts merged into one archive; of equal names the first host's wins."""
        file = folder / (path.replace("/", "-") + ".tar.gz")
        first, *others = (self.runtime.get(launch.name, path) for launch in launches)
        pack(first, file, others=others)
        return file

    def _upload(self, job: DesiredJob, key: str, file: Path, report: Report) -> Artifact:
        progress = _counting(report, job, f"storing {key}", file.stat().st_size)
        stored = self.records.store.upload(self.records.job_key(job.address, key), file, progress)
        return Artifact(key=key, size=stored.size, sha256=stored.sha256)


def _looks_stopped(container: Container) -> bool:
    """Whether a container seems to have been ended from outside, as `_wait` ends the others when one host fails."""
    return container.exit_code in STOPPED_CODES and not container.note


def _counting(report: Report, job: DesiredJob, text: str, total: int) -> Callable[[int], None]:
    """A function that is called with each further number of bytes, and reports how far that is of `total`."""
    moved = 0

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        about = str(job.address)
        report(Event(EventKind.PROGRESS, about, text, action="run-job", done=moved, total=total, unit="bytes"))

    return progress


def began_at(runtime: Runtime, container_name: str) -> float | None:
    """When the job of this container began, in seconds since 1970, as its manifest will say; None while its data are
    still fetched."""
    content = runtime.read(container_name, STARTED_FILE)
    return Started.model_validate_json(content).started_at.timestamp() if content else None


def patterns_of(job: DesiredJob, of_builtins: Mapping[str, Patterns]) -> Patterns:
    """What is looked for in the lines of a job: what its built-in declares, and what its spec does."""
    return [*of_builtins.get(job.program.builtin, ()), *((name, re.compile(regex)) for name, regex in job.metrics)]


def _has_members(archive: Path) -> bool:
    with tarfile.open(archive) as tar:
        return tar.next() is not None
