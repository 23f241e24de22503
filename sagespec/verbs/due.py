"""All that `retrain` asks for now: which jobs are to be trained once more, and why. Changes nothing.

Specs and store are read, and the data of channels that are watched; the engine is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagespec.errors import SagespecError
from sagespec.inputs.channels import Contents, contents_of, input_of, objects_of
from sagespec.load.loaded import Loaded
from sagespec.parts import Parts
from sagespec.records.listings import listing
from sagespec.spec.job import TrainingJob
from sagespec.spec.retrain import Retrain
from sagespec.state.addresses import Address, job_address
from sagespec.state.data import DataChange, data_change
from sagespec.state.desired import DesiredChannel, DesiredJob
from sagespec.state.manifest import Input, JobStatus, Manifest
from sagespec.verbs.bump import newest_in_specs, next_of
from sagespec.verbs.plan import desired
from sagespec.verbs.questions import TurnedDown
from sagespec.verbs.retraining import Changed, decide, why_not_at_all


@dataclass(frozen=True)
class Due:
    """One job with `retrain`. is_due: whether it is to be trained once more. why: what asks for that, or why not.

    seconds: that its last training took, None where that is not known. reasons: what asks, exactly. turned_down: the
    pull request that was closed without a merge, if one is known. notes: what else to know.
    """

    job: Address
    next_version: int
    is_due: bool
    why: tuple[str, ...]
    data: tuple[DataChange, ...] = ()
    seconds: float | None = None
    reasons: tuple[str, ...] = ()
    at_most_every: float = 0.0
    turned_down: TurnedDown | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "job": str(self.job),
            "next_version": self.next_version,
            "is_due": self.is_due,
            "why": list(self.why),
            "data": [change.as_json() for change in self.data],
            "last_seconds": self.seconds,
            "turned_down": self.turned_down.url if self.turned_down else "",
            "notes": list(self.notes),
        }


def due(parts: Parts, now: datetime | None = None, *, root: Path | None = None) -> tuple[Due, ...]:
    """Of each job whose newest version in the specs has `retrain`, sorted. root: the folder that local data are
    relative to, if it is not the project's."""
    now = now or datetime.now(UTC)
    loaded = parts.load()
    retrains = retrains_of(loaded)
    if not retrains:
        return ()
    wanted, _ = desired(parts, check_paths=False, only=list(retrains))
    return tuple(
        _due(
            parts,
            job,
            retrains[job.address],
            next_version=next_of(parts, loaded, job.name),
            now=now,
            root=root or parts.root,
        )
        for job in wanted.jobs
        if job.address in retrains
    )


def retrains_of(loaded: Loaded) -> Mapping[Address, Retrain]:
    """What the newest version of each job in the specs says of retraining, if it does, sorted."""
    names = sorted({item.address.name for item in loaded.specs if item.address.kind == "job"})
    newest = [newest_in_specs(loaded, name) for name in names]
    found = ((item.address, item.spec) for item in newest)
    return {a: spec.retrain for a, spec in found if isinstance(spec, TrainingJob) and spec.retrain}


def newest_trained(parts: Parts, name: str) -> Manifest | None:
    """Of the highest version whose training has completed."""
    versions = [address for address in parts.records.all_jobs() if address.name == name]
    for address in reversed(versions):
        manifest = parts.records.manifests([address]).get(address)
        if manifest and manifest.status is JobStatus.COMPLETED:
            return manifest
    return None


def _due(parts: Parts, job: DesiredJob, retrain: Retrain, *, next_version: int, now: datetime, root: Path) -> Due:
    trained = newest_trained(parts, job.name)
    forbidden = why_not_at_all(retrain, job.address, trained, now)
    if trained is None or forbidden:
        return Due(job.address, next_version, False, (forbidden,))
    changed, unknown = [], []
    for channel in (one for one in job.channels if one.name in retrain.on_data):
        try:
            changed += _changed(parts, channel, trained, root)
        except (SagespecError, OSError) as error:
            said = error.problems[0].what if isinstance(error, SagespecError) else str(error)
            unknown.append(f"channel {channel.name} cannot be looked at: {said}")
    verdict = decide(retrain, trained, changed, now)
    why = verdict.asks or (*verdict.waits, *unknown) or ("nothing asks for it",)
    seconds = sum(trained.seconds.values()) if trained.seconds else None
    exactly = {str(one.change): f"channel {one.change.channel}: {one.fingerprint}" for one in changed}
    return Due(
        job.address,
        next_version,
        bool(verdict.asks),
        why,
        tuple(one.change for one in changed),
        seconds,
        reasons=tuple(exactly.get(ask, ask) for ask in verdict.asks),
        at_most_every=retrain.at_most_every,
    )


def _changed(parts: Parts, channel: DesiredChannel, trained: Manifest, root: Path) -> list[Changed]:
    """How the data of a channel differ from those of a training: nothing, or one change."""
    before = trained.inputs.get(channel.name)
    with parts.waits.on(channel.source):
        contents = contents_of(channel, root)
        if before and _is_untouched(contents, before, trained.started_at.timestamp()):
            return []
        objects = objects_of(contents)
    fingerprint = input_of(channel, contents, objects).fingerprint
    if before and before.fingerprint == fingerprint:
        return []
    known = listing(parts.records, job_address(trained.name, trained.version), channel.name) if before else ()
    if before and known is None:
        more = contents.bytes - before.bytes
        change = DataChange(channel.name, before.objects, len(objects), more, is_known=False)
    else:
        change = data_change(channel.name, known or (), objects)
    newest = max((entry.modified_at for entry in contents.entries), default=0.0)
    return [Changed(change, datetime.fromtimestamp(newest, UTC), fingerprint)]


def _is_untouched(contents: Contents, before: Input, since: float) -> bool:
    """Whether files of this machine need not be read to know that they are the same: as many, as large, and none
    written or put there since."""
    if contents.has_etags or (len(contents.entries), contents.bytes) != (before.objects, before.bytes):
        return False
    found = (contents.file(entry).stat() for entry in contents.entries)
    return all(max(status.st_mtime, status.st_ctime) <= since for status in found)
