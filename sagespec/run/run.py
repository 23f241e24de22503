"""Carries one training job out: inputs in, containers followed to their end, results to the store.

Called by `apply` for a RunJob. Begins wherever the containers show that an earlier run stopped: none
there, running, or ended and not collected. The manifest is written when everything else is in the
store, and only then are the containers removed, so a model is never lost and never trained twice.
What the platform ended is begun again, from its checkpoints. docs/jobs.md tells it to users.

    attempts.py     how often it was begun, and whether it may be once more
    checkpoints.py  a folder of the containers, kept in the store
    faults.py       whose fault an end is
    hosts.py        the containers, as they are seen to end
    stops.py        requests to stop
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sagespec import __version__
from sagespec.contract import CODE_FOLDER, FOLDERS, STOP_GRACE_SECONDS, config_files, training_environment
from sagespec.errors import Cancelled, WorldError
from sagespec.events import Caller, Event, EventKind, Report
from sagespec.inputs.delivery import Inputs
from sagespec.inputs.pipes import FEEDER, feeder_launches
from sagespec.records.archive import UnfitMember, pack, unpack
from sagespec.records.records import Records
from sagespec.run.attempts import Course
from sagespec.run.checkpoints import Checkpoints
from sagespec.run.collect import Upload, counting, has_members
from sagespec.run.faults import Ending, HostEnd, Verdict, judge
from sagespec.run.follow import (
    LOG_END_SECONDS,
    LOG_PAUSE_SECONDS,
    LOG_TRIES,
    LOOK_EVERY_SECONDS,
    REASON_LOG_LINES,
    Followed,
)
from sagespec.run.hosts import Hosts
from sagespec.run.launches import training_launches
from sagespec.run.metrics import FoundMetrics, Patterns, final_values, patterns_of, series_of
from sagespec.run.patience import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS, T
from sagespec.run.start import MAX_CODE_BYTES, STARTED_FILE, Started
from sagespec.run.stops import Stop, StopAsked
from sagespec.runtimes.protocol import CannotStart, Runtime
from sagespec.sources.files import copy_source
from sagespec.state.desired import DesiredCode, DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.launches import Launch
from sagespec.state.manifest import Artifact, Git, JobStatus, Manifest
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Conflict


class JobFailed(WorldError):
    """The job has ended without a model; its manifest says so."""


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
    patience_seconds: float = PATIENCE_SECONDS

    def run(self, job: DesiredJob, caller: Caller) -> None:
        """Train `job`, or take it up where it stands. JobFailed when it ended without a model.

        The caller's guard is asked again after the hours a job may take: somebody else may have trained it
        meanwhile, and their model is not to be written over.
        """
        report, cancelled, guard = caller.report, caller.cancelled, caller.guard
        course = Course(self.records, job)
        stop = Stop(self.records, job.address, course.manifest)
        stop.look()
        with stop.watched():
            manifest = None
            while manifest is None:
                manifest = self._run_once(job, course, stop, report, cancelled, guard)
        if course.is_kept or stop.request:
            with suppress(WorldError):  # what is older than the manifest counts for nothing
                self.records.forget(job.address)
        if manifest.status is not JobStatus.COMPLETED:
            raise JobFailed(manifest.verdict, fix=f"see `sagespec logs {job.address}`")

    def want(self, job: DesiredJob) -> None:
        """Note that the job waits for its turn: max_wait counts from here."""
        if job.max_wait is not None:
            Course(self.records, job).want()

    def is_over(self, job: DesiredJob) -> bool:
        """Whether a job that waits for its turn needs none any more: it was stopped, or has waited too long.

        `run` then ends it at once.
        """
        course = Course(self.records, job)
        return Stop(self.records, job.address, course.manifest).look() or bool(course.overdue)

    def _run_once(
        self,
        job: DesiredJob,
        course: Course,
        stop: Stop,
        report: Report,
        cancelled: threading.Event,
        guard: Callable[[], None],
    ) -> Manifest | None:
        """One attempt, begun or taken up; None when the platform ended it and another one is due."""
        launches = training_launches(self.records.project_name, job)
        checkpoints = self._checkpoints(job, launches)
        feeders = feeder_launches(self.records.project_name, job, launches)
        hosts = Hosts(self.runtime, launches, feeders, report, self.patience_seconds)
        if not hosts.are_there():
            if reason := stop.reason or course.overdue:
                return self._never_started(job, course, reason)
            if job.max_wait is not None:
                course.want()
            try:
                self._begin(job, launches, course, checkpoints, stop, report, cancelled)
            except BaseException as error:
                hosts.remove()  # what was not started whole is of no use to the next run
                if isinstance(error, StopAsked):
                    return self._never_started(job, course, stop.reason)
                raise
        started = self._read_started(launches, job)
        if course.has_ended(started.attempt):
            hosts.remove()
            return None

        def patiently(do: Callable[[], T]) -> T:
            def do_if_still_ours() -> T:
                guard()
                return do()

            return self._patiently(do_if_still_ours, hosts.tell, cancelled)

        def upload(key: str, file: Path) -> Artifact:
            return patiently(lambda: self._upload(job, key, file, report))

        patiently(lambda: course.begin(started.started_at))
        if checkpoints:
            patiently(checkpoints.take_up)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            logs = {launch.alias: Path(folder, f"{launch.alias}.log") for launch in launches}
            deadline = self._deadline(job, course, started)
            with checkpoints.synced(hosts.tell) if checkpoints else nullcontext():
                followed, ending = self._follow(job, launches, hosts, logs, deadline, stop, report, cancelled)
            guard()
            if checkpoints:
                patiently(checkpoints.sync_at_end)
            ends = patiently(lambda: self._ends(launches, hosts, followed))
            verdict = judge(ends, ending)
            if verdict.is_platforms and stop.reason:
                verdict = Verdict(JobStatus.STOPPED, stop.reason)
            seconds = time.time() - started.training_from
            if verdict.is_platforms and course.may_go_on(seconds):
                kept = {host: upload(f"logs/{host}.{course.number}.log", log) for host, log in logs.items()}
                patiently(lambda: course.end(verdict.reason, seconds, kept))
                hosts.tell(f"attempt {started.attempt} of {job.retries + 1}: {verdict.reason}; it is run again")
                patiently(hosts.remove)
                return None
            manifest = self._collect(
                job, launches, logs, followed, ends, verdict, course, started, Path(folder), upload
            )
            patiently(lambda: self.records.write_manifest(manifest))
        patiently(hosts.remove)
        self.inputs.sweep(self.records.project_name)
        return manifest

    def _checkpoints(self, job: DesiredJob, launches: Sequence[Launch]) -> Checkpoints | None:
        if job.checkpoints is None:
            return None
        if job.checkpoints.source:
            store, prefix = open_store(job.checkpoints.source, root=self.root), ""
        else:
            store, prefix = self.records.store, self.records.job_key(job.address, "checkpoints/")
        return Checkpoints(self.runtime, launches, job.checkpoints.path, store, prefix, self.scratch)

    def _never_started(self, job: DesiredJob, course: Course, reason: str) -> Manifest:
        """The manifest of a job that ended while it waited, or while its data were fetched."""
        now = datetime.now(UTC)
        manifest = Manifest(
            project=self.records.project_name,
            name=job.name,
            version=job.version,
            key=job.key,
            key_fields=dict(job.key_fields),
            status=JobStatus.STOPPED,
            reason=reason,
            spec=dict(job.spec),
            git=self.git,
            sagespec_version=__version__,
            runtime=self.runtime.name,
            started_at=course.wanted_at,
            ended_at=now,
            protect=job.protect,
            attempts=course.attempts,
        )
        self.records.write_manifest(manifest)
        return manifest

    def _patiently(self, do: Callable[[], T], tell: Callable[[str], None], cancelled: threading.Event) -> T:
        """What `do` gives, tried for a while when the store or the engine does not do it; then the WorldError."""
        give_up, pause = time.monotonic() + self.patience_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                return do()
            except (Conflict, UnfitMember):
                raise
            except WorldError as error:
                if time.monotonic() + pause > give_up:
                    raise
                tell(f"{error.problems[0].what}; trying again in {pause:g} s")
            if cancelled.wait(pause):
                raise Cancelled("stopped before all of it was done; `sagespec apply` goes on from here")
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    # -- start -------------------------------------------------------------------------------------

    def _begin(
        self,
        job: DesiredJob,
        launches: Sequence[Launch],
        course: Course,
        checkpoints: Checkpoints | None,
        stop: Stop,
        report: Report,
        cancelled: threading.Event,
    ) -> None:
        """Create and start the hosts. An engine that does not start them is asked again, as often as there are
        retries."""

        def look() -> None:  # asked again and again by what may take hours
            if stop.request:
                raise StopAsked
            if cancelled.is_set():
                raise Cancelled("stopped before it was started")

        is_kept_by_us = job.checkpoints is not None and not job.checkpoints.source
        if checkpoints and is_kept_by_us and course.earlier_key and not same_hash(job.key, course.earlier_key):
            checkpoints.clear()  # they are of other hyperparameters or data
        self._start(job, launches, course.number, checkpoints, report, look)

    def _start_host(self, launch: Launch, job: DesiredJob, report: Report, look: Callable[[], None]) -> None:
        pause = FIRST_PAUSE_SECONDS
        for tries_left in reversed(range(job.retries + 1)):
            look()
            try:
                self.runtime.start(launch.name)
            except CannotStart as error:
                problem = error.problems[0]
                raise WorldError(f"AlgorithmError: {problem.what}", why=problem.why, fix=problem.fix) from error
            except WorldError as error:
                problem = error.problems[0]
                what = f"InternalServerError: {problem.what}"
                if not tries_left:
                    raise WorldError(what, why=problem.why, fix=problem.fix) from error
                text = f"{what}; trying again in {pause:g} s"
                report(Event(EventKind.NOTE, str(job.address), text, action="run-job"))
            else:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _start(
        self,
        job: DesiredJob,
        launches: Sequence[Launch],
        attempt: int,
        checkpoints: Checkpoints | None,
        report: Report,
        look: Callable[[], None],
    ) -> None:
        """Create the hosts, put into them all that they are started with, and start them."""

        def tell(text: str) -> None:
            look()
            report(Event(EventKind.PROGRESS, str(job.address), text, action="run-job"))

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
        if checkpoints and (count := checkpoints.put_in()):
            tell(f"goes on from {count} files of checkpoints")
        started = Started(
            started_at=now,
            image_digest=digest,
            inputs=delivery.inputs,
            git=self.git,
            downloading_seconds=time.monotonic() - begun,
            attempt=attempt,
        )
        for launch in launches:
            files = dict(config_files(job, launch.alias, self.runtime.base_dir(launch.name)))
            files[STARTED_FILE] = started.model_dump_json().encode()
            self.runtime.write(launch.name, files)
        look()
        delivery.start_feeders()
        for launch in launches:
            self._start_host(launch, job, report, look)

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

    def _read_started(self, launches: Sequence[Launch], job: DesiredJob) -> Started:
        launch = next((launch for launch in launches if self.runtime.inspect(launch.name)), launches[0])
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
        hosts: Hosts,
        logs: Mapping[str, Path],
        deadline: tuple[float, str],
        stop: Stop,
        report: Report,
        cancelled: threading.Event,
    ) -> tuple[dict[str, Followed], Ending | None]:
        """Follow all hosts to their end; what their logs gave, and why they were stopped (None if they were not).

        One host failing stops the others, with the grace. Cancelled leaves them running.
        """
        patterns = patterns_of(job, self.metrics)
        followed = {launch.alias: Followed(FoundMetrics(patterns)) for launch in launches}
        threads = {
            launch.alias: threading.Thread(
                target=self._follow_log,
                args=(job, launch, logs[launch.alias], followed[launch.alias], report),
                name=f"log-{launch.name}",
                daemon=True,
            )
            for launch in launches
        }
        for thread in threads.values():
            thread.start()
        ending = self._wait(hosts, deadline, stop, cancelled)
        self._wait_for_logs(threads, followed, hosts, cancelled)
        return followed, ending

    @staticmethod
    def _wait_for_logs(
        threads: Mapping[str, threading.Thread],
        followed: Mapping[str, Followed],
        hosts: Hosts,
        cancelled: threading.Event,
    ) -> None:
        """Until the logs have been read to their ends, or as far as they come: a connection to an engine elsewhere may
        be dead without saying so."""
        ended_at = time.monotonic()
        for alias, thread in threads.items():
            while thread.is_alive():
                thread.join(LOOK_EVERY_SECONDS)
                if cancelled.is_set():
                    raise Cancelled("it has ended; `sagespec apply` collects what it made")
                if time.monotonic() - max(ended_at, followed[alias].read_at) > LOG_END_SECONDS:
                    hosts.tell(f"the log of {alias} comes to no end; it is kept as far as it was read")
                    break

    def _follow_log(self, job: DesiredJob, launch: Launch, log: Path, followed: Followed, report: Report) -> None:
        about = str(replace(job.address, instance=launch.address.instance if job.instances > 1 else None))
        try:
            with log.open("w", encoding="utf-8", buffering=1) as file:  # whole lines, for whoever stops waiting
                for at, line in self._lines(launch.name):
                    file.write(line + "\n")
                    followed.last_lines = [*followed.last_lines[1 - REASON_LOG_LINES :], line]
                    followed.metrics.read(at, line)
                    followed.read_at = time.monotonic()
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
                time.sleep(LOG_PAUSE_SECONDS * 2 ** (LOG_TRIES - 1 - tries))

    def _wait(self, hosts: Hosts, deadline: tuple[float, str], stop: Stop, cancelled: threading.Event) -> Ending | None:
        """Until all hosts have ended, by themselves or because we stopped them; why we did."""
        ending, is_first = None, True
        while True:
            if hosts.look():
                if is_first:  # an earlier run may have been killed in the grace
                    ending, is_first = hosts.ending(), False
                ending = ending or self._reason_to_stop(hosts, deadline, stop)
                if hosts.have_all_ended:
                    return ending
                if ending:
                    if ending.reason:
                        hosts.tell(f"{ending.reason}; SIGTERM, then up to {STOP_GRACE_SECONDS:g} s")
                    self._patiently(partial(hosts.stop, ending), hosts.tell, cancelled)
                    continue
            if cancelled.wait(LOOK_EVERY_SECONDS):
                raise Cancelled("it goes on without us; `sagespec apply` takes it up again")

    @staticmethod
    def _reason_to_stop(hosts: Hosts, deadline: tuple[float, str], stop: Stop) -> Ending | None:
        # The feeder's fault first: a host may end, even well, because its pipe broke off.
        if hosts.feeders_fault:
            return Ending(reason=hosts.feeders_fault, by_themselves=hosts.ended)
        if hosts.have_all_ended:
            return None
        if reason := stop.reason or (deadline[1] if time.time() > deadline[0] else ""):
            return Ending(reason=reason, by_themselves=hosts.ended)
        return Ending(by_themselves=hosts.ended) if hosts.have_failed else None

    @staticmethod
    def _deadline(job: DesiredJob, course: Course, started: Started) -> tuple[float, str]:
        """When the job is to be stopped, in seconds since 1970, and the reason then."""
        runs_until = started.training_from + job.max_runtime - course.spent_seconds
        limits = [(runs_until, f"MaxRuntimeExceeded: it ran longer than {job.max_runtime:g} s")]
        if course.give_up_at:
            limits.append((course.give_up_at.timestamp(), course.overdue_text))
        return min(limits)

    # -- collect -----------------------------------------------------------------------------------

    def _ends(self, launches: Sequence[Launch], hosts: Hosts, followed: Mapping[str, Followed]) -> tuple[HostEnd, ...]:
        """How each host ended, with what it left to say."""
        ends = []
        for launch in launches:
            container = hosts.containers[launch.alias]
            failure = self.runtime.read(launch.name, "output/failure") if container and container.exit_code else None
            text = (failure or b"").decode(errors="replace")
            said = followed[launch.alias].last_lines
            ends.append(HostEnd(launch.alias, container, hosts.seen[launch.alias], text, said))
        return tuple(ends)

    def _collect(
        self,
        job: DesiredJob,
        launches: Sequence[Launch],
        logs: Mapping[str, Path],
        followed: Mapping[str, Followed],
        ends: Sequence[HostEnd],
        verdict: Verdict,
        course: Course,
        started: Started,
        folder: Path,
        upload: Upload,
    ) -> Manifest:
        """Logs, output and model to the store. A model is kept only from hosts that all ended well, or were stopped
        by us."""
        ended_at = datetime.now(UTC)
        there = [launch for launch, end in zip(launches, ends, strict=True) if end.container]
        status, reason = verdict.status, verdict.reason
        begun = time.monotonic()
        artifacts = {f"logs/{host}": upload(f"logs/{host}.log", log) for host, log in logs.items()}
        try:
            if there and status is not JobStatus.FAILED:
                artifacts["model"] = upload("model.tar.gz", self._pack(there, "model", folder))
            output = self._pack(there, "output/data", folder) if there else None
            if output and has_members(output):
                artifacts["output"] = upload("output.tar.gz", output)
        except UnfitMember as unfit:  # a verdict on what was made: to collect it again would end the same
            status, reason = JobStatus.FAILED, f"AlgorithmError: {unfit.problems[0].what}"
        series = series_of((followed[launch.alias].metrics for launch in launches), started.started_at.timestamp())
        training = (ended_at - started.started_at).total_seconds() - started.downloading_seconds
        return Manifest(
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
            exit_codes={end.host: end.exit_code for end in ends if end.container},
            artifacts=artifacts,
            started_at=started.started_at,
            ended_at=ended_at,
            seconds={
                "downloading": round(started.downloading_seconds, 3),
                "training": round(training, 3),
                "uploading": round(time.monotonic() - begun, 3),
            },
            protect=job.protect,
            attempts=course.told(ended_at, training, reason),
        )

    def _pack(self, launches: Sequence[Launch], path: str, folder: Path) -> Path:
        """The folders `path` of all hosts merged into one archive; of equal names the first host's wins."""
        file = folder / (path.replace("/", "-") + ".tar.gz")
        first, *others = (self.runtime.get(launch.name, path) for launch in launches)
        pack(first, file, others=others)
        return file

    def _upload(self, job: DesiredJob, key: str, file: Path, report: Report) -> Artifact:
        progress = counting(report, job, f"storing {key}", file.stat().st_size)
        stored = self.records.store.upload(self.records.job_key(job.address, key), file, progress)
        return Artifact(key=key, size=stored.size, sha256=stored.sha256)
