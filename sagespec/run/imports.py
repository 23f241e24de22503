"""Models that were trained elsewhere, taken into the store as versions that are trained.

The manifest is written last, by whoever calls, so that this may be repeated and killed: the next one writes the model
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sagespec import __version__
from sagespec.errors import Cancelled, WorldError
from sagespec.events import ByteCounter, Caller, Event, EventKind
from sagespec.plan import ImportModel
from sagespec.records.archive import unpack
from sagespec.records.lease import Lease
from sagespec.records.lock import IMPORT, import_lock
from sagespec.records.members import MAX_MODEL_BYTES
from sagespec.records.records import Records
from sagespec.run.archives import fetch_archive
from sagespec.run.jobs import Jobs
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.hashes import hash_of
from sagespec.state.manifest import Artifact, Git, JobStatus, Manifest, RunBy
from sagespec.state.observed import Archive
from sagespec.stores.protocol import CountBytes, Stored

MODEL = "model.tar.gz"


@dataclass(frozen=True)
class Described:
    """What the manifest says of the job: its spec, and what its key is over."""

    spec: Mapping[str, Any]
    key_fields: Mapping[str, Any]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    protect: bool = False


@dataclass(frozen=True)
class Imported:
    """A model that is in the store now. source: where it was."""

    source: str
    model: Stored
    metrics: Mapping[str, float] = field(default_factory=dict)


def described(job: DesiredJob) -> Described:
    return Described(job.spec, job.key_fields, job.files, job.protect)


@dataclass(frozen=True)
class Brought:
    """A model in the store, and the right to record it, which ends here. manifest: None where another has done it."""

    manifest: Manifest | None
    records: Records
    lock: Lease
    held: ExitStack

    def record(self) -> None:
        with self.held:
            if self.manifest:
                self.lock.check_now()
                self.records.write_manifest(self.manifest)
        with suppress(WorldError):
            self.lock.delete()  # whoever has taken it by now finds the manifest

    def discard(self) -> None:
        self.held.close()


def bring(job: DesiredJob, archive: Archive | None, jobs: Jobs, caller: Caller) -> Brought:
    """Import as the only one that does; one that is slower than another run leaves that one's model as it is."""
    records, key = jobs.records, jobs.records.job_key(job.address, IMPORT)
    command = jobs.by.command if jobs.by else ImportModel.verb
    with ExitStack() as stack:
        lock = stack.enter_context(
            import_lock(records.store, key, command=command, cancelled=caller.cancelled, report=caller.report)
        )
        manifest = None
        if job.address not in records.manifests([job.address]):
            manifest = import_archive(job, archive, jobs, Caller(caller.report, caller.cancelled, lock.check_now))
        _keep_going(caller)
        return Brought(manifest, records, lock, stack.pop_all())


def import_archive(job: DesiredJob, archive: Archive | None, jobs: Jobs, caller: Caller) -> Manifest:
    """Bring the archive that the job's spec names into the store; the manifest that makes it the job's model.

    archive: the one that was planned; WorldError where another one is there by now. Cancelled when the caller cancels.
    """
    source, records = job.imported_from, jobs.records
    progress = Event(EventKind.PROGRESS, str(job.address), "importing", action=ImportModel.verb)
    counter = ByteCounter(caller.report, progress)

    def count(moved: int) -> None:
        _keep_going(caller)
        counter.add(moved)

    with TemporaryDirectory(dir=jobs.scratch) as folder:
        copy = Path(folder, MODEL)
        counter.begin(2 * archive.size if archive else 0)  # here and there
        fetch_archive(source, jobs.root, copy, wanted=archive, progress=count)
        check_archive(copy, jobs.scratch, name_for_people=source)
        stored = _upload(copy, job, jobs, caller, count)
    imported = Imported(source, stored, job.imported_metrics)
    project = records.project_name
    return manifest_of(project, job.address, described(job), imported, git=jobs.git(), by=jobs.by, now=jobs.clock.now())


def _upload(archive: Path, job: DesiredJob, jobs: Jobs, caller: Caller, count: CountBytes) -> Stored:
    _keep_going(caller)
    caller.guard()
    try:
        return jobs.records.store.upload(jobs.records.job_key(job.address, MODEL), archive, count)
    except WorldError:
        _keep_going(caller)  # an SDK may have wrapped it
        raise


def _keep_going(caller: Caller) -> None:
    if caller.cancelled.is_set():
        raise Cancelled("its model is not wanted any more")


def check_archive(archive: Path, scratch: Path, *, name_for_people: str) -> None:
    """WorldError where it could not be unpacked to be served."""
    with TemporaryDirectory(dir=scratch) as folder:
        unpack(archive, Path(folder, "model"), max_bytes=MAX_MODEL_BYTES, name_for_people=name_for_people)


def manifest_of(
    project: str,
    job: Address,
    about: Described,
    imported: Imported,
    *,
    git: Git | None,
    by: RunBy | None,
    now: datetime,
) -> Manifest:
    return Manifest(
        project=project,
        name=job.name,
        version=job.version,
        key=hash_of(about.key_fields),
        key_fields=dict(about.key_fields),
        files={name: dict(files) for name, files in about.files.items()},
        status=JobStatus.COMPLETED,
        spec=dict(about.spec),
        git=git,
        sagespec_version=__version__,
        metrics=dict(imported.metrics),
        artifacts={"model": Artifact(key=MODEL, size=imported.model.size, sha256=imported.model.sha256)},
        started_at=now,
        ended_at=now,
        protect=about.protect,
        by=by,
        imported_from=imported.source,
    )
