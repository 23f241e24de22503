"""Models that another project has trained, copied into this store: everything of the job, checked by its checksums.

Called by `apply`; the manifest is written last, by whoever calls, so that this may be repeated and interrupted.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sagespec.errors import Cancelled, WorldError
from sagespec.events import ByteCounter, Caller, Event, EventKind
from sagespec.records.records import Records
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Artifact, Manifest, PromotedFrom


def copy_job(
    manifest: Manifest, source: Records, target: Records, *, scratch: Path, at: datetime, caller: Caller, verb: str
) -> Manifest:
    """Copy what the manifest of a job in `source` names; the manifest that makes it a job of `target`."""
    job = job_address(manifest.name, manifest.version)
    with TemporaryDirectory(dir=scratch) as folder:
        for artifact in manifest.artifacts.values():
            if caller.cancelled.is_set():
                raise Cancelled("stopped on request")
            progress = Event(EventKind.PROGRESS, str(job), f"copying {artifact.key}", action=verb)
            counter = ByteCounter(caller.report, progress)
            _copy(artifact, job, source, target, file=Path(folder, "artifact"), counter=counter)
    origin = PromotedFrom(project=source.project_name, store=source.store.uri, at=at)
    notes = (*manifest.notes, f"trained in project {source.project_name}")
    return manifest.model_copy(update={"project": target.project_name, "promoted_from": origin, "notes": notes})


def _copy(
    artifact: Artifact, job: Address, source: Records, target: Records, *, file: Path, counter: ByteCounter
) -> None:
    counter.begin(2 * artifact.size)  # there and back
    source.store.download(source.job_key(job, artifact.key), file, sha256=artifact.sha256, progress=counter.add)
    stored = target.store.upload(target.job_key(job, artifact.key), file, counter.add)
    if stored.sha256 != artifact.sha256:
        raise WorldError(
            f"the copy of {artifact.key} of {job} is not what {source.store.uri} has",
            why=f"its checksum is {stored.sha256}, and not {artifact.sha256}",
            fix="run apply again; if it stays so, check the disk and the network",
        )
