"""Starts a job's containers: data, code, checkpoints and SageMaker's files in, then the program.

Called by `run` when no container of the job is there. A start that is cut short leaves nothing behind: containers
that were not started whole are of no use to the next run.
"""

from __future__ import annotations

import math
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from sagespec.contract import CODE_FOLDER, FOLDERS, config_files, training_environment
from sagespec.errors import WorldError
from sagespec.inputs.delivery import Delivery
from sagespec.inputs.pipes import FEEDER
from sagespec.records.archive import unpack
from sagespec.records.listings import write_listing
from sagespec.run.jobs import JobRun
from sagespec.run.stops import StopAsked
from sagespec.runtimes.protocol import CannotStart, NoRoom, Runtime
from sagespec.sources.code import copy_code
from sagespec.state.desired import DesiredCode
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.hashes import same_hash
from sagespec.state.launches import Launch
from sagespec.state.manifest import Input, JobStatus, Started
from sagespec.stores.open import open_store

MAX_CODE_BYTES = 2 * 2**30  # an unpacked sourcedir.tar.gz larger than this is treated as a zip bomb


def begin(run: JobRun) -> Fault | None:
    """Create the containers, fill and start them; why the job ended before it ran, None when it runs."""
    if fault := run.stop.fault or run.attempts.overdue:
        return fault
    if run.job.max_wait_seconds is not None:
        run.attempts.want()
    try:
        _clear_checkpoints_of_another_spec(run)
        _start(run)
    except StopAsked:
        _remove(run)
        return run.stop.fault or run.attempts.overdue
    except BaseException as error:
        _remove(run)
        if isinstance(error, WorldError):
            with suppress(WorldError):  # the store is away, perhaps, and that is why
                run.attempts.could_not_begin(error.problems[0].what)
        raise
    return None


def _remove(run: JobRun) -> None:
    run.caller.guard()  # else the containers are somebody else's by now
    run.containers.remove()


def _clear_checkpoints_of_another_spec(run: JobRun) -> None:
    """Checkpoints that the project keeps are of one set of hyperparameters and data. Those in a place that the user
    named are theirs."""
    earlier_key = run.attempts.earlier_key
    if run.checkpoints and _are_ours(run) and earlier_key and not same_hash(run.job.key, earlier_key):
        run.checkpoints.clear()


def _clear_checkpoints_of_other_data(run: JobRun, inputs: Mapping[str, Input]) -> None:
    """The data that a job failed with may be in them. What the platform or somebody ended continues from them."""
    before = run.attempts.manifest
    if before is None or before.status is not JobStatus.FAILED or run.attempts.number > 1:
        return
    fault = Fault.read(before.reason)
    is_other = {name: i.fingerprint for name, i in inputs.items()} != {
        n: i.fingerprint for n, i in before.inputs.items()
    }
    if run.checkpoints and _are_ours(run) and is_other and not (fault and fault.kind is FaultKind.INTERNAL):
        run.checkpoints.clear()


def _are_ours(run: JobRun) -> bool:
    return run.job.checkpoints is not None and not run.job.checkpoints.source


def _start(run: JobRun) -> None:
    runtime = run.jobs.runtime
    digest = runtime.prepare(run.job.program, run.progress)
    begun, now = time.monotonic(), run.jobs.clock.now()
    with run.jobs.inputs.delivery(
        run.job,
        _with_environments(run),
        project_name=run.jobs.records.project_name,
        report=run.caller.report,
        keep_going=run.keep_going,
    ) as delivery:
        _create(run, delivery)
    if run.job.code:
        _put_code(run, run.job.code)
    _clear_checkpoints_of_other_data(run, delivery.inputs)
    checkpoints = run.checkpoints.put_in() if run.checkpoints else {}
    if checkpoints:
        run.progress(f"resumes from {len(checkpoints)} checkpoint files")
    for launch in run.launches:
        runtime.write(launch.name, config_files(delivery.as_told(run.job), launch.alias, runtime.base_dir(launch.name)))
    started = Started(
        started_at=now,
        image_digest=digest,
        inputs=delivery.inputs,
        git=run.jobs.git(),
        downloading_seconds=time.monotonic() - begun,
        attempt=run.attempts.number,
        checkpoints=checkpoints,
        seal_key=secrets.token_hex(16),
    )
    run.patiently(lambda: _keep_listings(run, delivery))
    run.patiently(lambda: run.attempts.begin(started))
    run.keep_going()
    delivery.start_feeders()
    for launch in run.launches:
        _start_host(run, launch)


def _keep_listings(run: JobRun, delivery: Delivery) -> None:
    """Of each channel, for whoever asks later what has changed since."""
    for channel, objects in delivery.objects.items():
        write_listing(run.jobs.records, run.job.address, channel, objects)


def _with_environments(run: JobRun) -> list[Launch]:
    runtime = run.jobs.runtime
    most = max(node.cpus for node in runtime.capacity().machines)  # a host is on one of them
    processors = max(1, math.ceil(most))
    return [
        replace(
            launch,
            environment=training_environment(
                run.job, launch.alias, runtime.base_dir(launch.name), processors=processors
            ),
        )
        for launch in run.launches
    ]


def _create(run: JobRun, delivery: Delivery) -> None:
    if delivery.feeders:
        run.jobs.runtime.prepare(FEEDER, run.progress)
    run.caller.guard()  # fetching data may have taken hours
    _find_room(run, [*delivery.hosts, *delivery.feeders])
    run.caller.guard()  # whoever took the job away meanwhile has not seen them
    _make_folders(run.jobs.runtime, run.launches, run.jobs.scratch)
    delivery.put()


def _find_room(run: JobRun, launches: Sequence[Launch]) -> None:
    """Create the containers. Where no machine has room for one of them, it waits for that and holds nothing meanwhile:
    what the others would hold may be what another job lacks, while that holds what this one lacks."""
    for pause in run.jobs.patience.pauses():
        try:
            return run.jobs.runtime.create(launches, run.progress)
        except NoRoom as error:
            _remove(run)
            run.progress(error.problems[0].what)
        again_at = time.monotonic() + pause * (1 + secrets.randbelow(100) / 100)  # else both try at one time
        while time.monotonic() < again_at:
            run.keep_going()
            if run.attempts.overdue:
                raise StopAsked
            run.caller.cancelled.wait(0.1)
        run.caller.guard()
    raise AssertionError("unreachable")


def _make_folders(runtime: Runtime, launches: Sequence[Launch], scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as empty:
        for folder in FOLDERS:
            Path(empty, folder).mkdir(parents=True)
        for launch in launches:
            runtime.put(launch.name, "", Path(empty))


def _put_code(run: JobRun, code: DesiredCode) -> None:
    """Copy the script and the files next to it into every host's code/."""
    with tempfile.TemporaryDirectory(dir=run.jobs.scratch) as scratch:
        folder = Path(scratch, "code")
        folder.mkdir()
        if code.source.startswith("s3://") or code.source.endswith(".tar.gz"):
            archive = Path(scratch, "sourcedir.tar.gz")
            above, _, name = code.source.rpartition("/")
            open_store(f"{above or '.'}/", root=run.jobs.root, create=False).download(name, archive)
            unpack(archive, folder, max_bytes=MAX_CODE_BYTES, name_for_people=code.source)
        else:
            copy_code(run.jobs.root / code.source, folder)
        for launch in run.launches:
            run.jobs.runtime.put(launch.name, CODE_FOLDER, folder)


def _start_host(run: JobRun, launch: Launch) -> None:
    """Start one container; tries again on failure, as often as the job has retries."""
    pauses = islice(run.jobs.patience.pauses(), run.job.retries)
    for pause in chain(pauses, [None]):
        run.keep_going()
        try:
            run.jobs.runtime.start(launch.name)
        except CannotStart as error:
            problem = error.problems[0]
            fault = Fault(FaultKind.ALGORITHM, problem.what)
            raise WorldError(str(fault), why=problem.why, fix=problem.fix) from error
        except WorldError as error:
            problem = error.problems[0]
            fault = Fault(FaultKind.INTERNAL, problem.what)
            if pause is None:
                raise WorldError(str(fault), why=problem.why, fix=problem.fix) from error
            run.note(f"{fault}; trying again in {pause:g} s")
            time.sleep(pause)
        else:
            return
