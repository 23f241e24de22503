"""Deletes models that nothing needs any more, in three steps: look, mark, and a week later sweep.

`needed` says what is kept. Each step looks at everything afresh, so that what is named meanwhile stays. Manifest, logs
and metrics are never deleted: the version still counts as trained, and is not trained again by surprise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sagespec.display import Displayed
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.records.lock import PATIENCE_SECONDS, project_lock
from sagespec.records.records import Records
from sagespec.records.sweeping import JobFiles, Sweeping
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest
from sagespec.state.sweeping import WAITS, YOUNG, Marks
from sagespec.stores.protocol import Conflict
from sagespec.verbs.needed import every_environment, of_manifests, of_project, of_specs, together

Step = Literal["look", "mark", "sweep"]
State = Literal["kept", "unnamed", "marked", "due", "swept"]


@dataclass(frozen=True)
class Held:
    """A job and what it has in the store. reasons: why it is kept. since: when it was marked, or swept."""

    job: Address
    state: State
    bytes: int
    reasons: tuple[str, ...] = ()
    since: datetime | None = None

    @property
    def due_at(self) -> datetime | None:
        """From when what is marked may be swept."""
        return self.since + WAITS if self.since and self.state in ("marked", "due") else None

    def as_json(self) -> dict[str, Any]:
        return {
            "job": str(self.job),
            "state": self.state,
            "bytes": self.bytes,
            "reasons": list(self.reasons),
            "since": self.since.isoformat() if self.since else None,
        }


@dataclass(frozen=True, repr=False)
class Collected(Displayed):
    """What `gc` found, and has done: jobs with files in the store, and those whose files it has deleted now. earlier:
    those that were swept before, and have no files any more."""

    step: Step
    jobs: tuple[Held, ...]
    notes: tuple[str, ...] = ()
    earlier: tuple[Held, ...] = ()

    def of(self, *states: State) -> tuple[Held, ...]:
        return tuple(one for one in self.jobs if one.state in states)

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/gc.md."""
        return {
            "step": self.step,
            "jobs": [one.as_json() for one in self.jobs],
            "freed_bytes": sum(one.bytes for one in self.of("swept")),
            "notes": list(self.notes),
            "swept_before": [{"job": str(one.job), "swept_at": one.as_json()["since"]} for one in self.earlier],
        }


@dataclass(frozen=True)
class Seen:
    """One look at everything."""

    manifests: Mapping[Address, Manifest]
    files: Mapping[Address, JobFiles]
    reasons: Mapping[Address, tuple[str, ...]]

    def unnamed(self) -> dict[str, str]:
        """The keys of the jobs that have files, and that nothing names."""
        jobs = (job for job in self.files if job in self.manifests and job not in self.reasons)
        return {str(job): self.manifests[job].key for job in jobs if not self.manifests[job].swept_at}

    def swept(self) -> dict[str, datetime]:
        """When the models were deleted that are gone."""
        return {str(job): one.swept_at for job, one in self.manifests.items() if one.swept_at}


def collect(
    parts: Parts,
    step: Step,
    *,
    older_than: timedelta = YOUNG,
    report: Report,
    wait_for_lock_seconds: float = PATIENCE_SECONDS,
) -> Collected:
    """older_than: what has ended since is kept."""
    if step == "look":
        now = datetime.now(UTC)
        return _held(parts, step, look(parts, now, older_than), Sweeping(parts.records).marks()[0], now=now)
    with project_lock(
        parts.store,
        parts.settings.name,
        command=f"gc --{step}",
        wait_seconds=wait_for_lock_seconds,
        report=report,
    ) as lock:
        now = datetime.now(UTC)
        seen = look(parts, now, older_than)
        sweeping = Sweeping(parts.records)
        marks, etag = sweeping.marks()
        if step == "mark":
            marked = marks.renewed(seen.unnamed(), seen.swept(), now)
            if marked != marks:
                sweeping.write_marks(marked, etag)
            return _held(parts, step, seen, marked, now=now)
        swept: list[Address] = []
        for job in due(seen, marks, now):
            lock.check()
            if _sweep(sweeping, seen, job, now, report):
                swept.append(job)
        gone = dict.fromkeys(map(str, swept), now) | seen.swept()
        unnamed = {job: key for job, key in seen.unnamed().items() if job in marks.jobs and job not in gone}
        rest = marks.renewed(unnamed, gone, now)
        if rest != marks:
            sweeping.write_marks(rest, etag)
        return _held(parts, step, seen, rest, now=now, swept=swept)


def look(parts: Parts, now: datetime, older_than: timedelta) -> Seen:
    store, old = parts.store, now - older_than
    needed = of_specs(every_environment(parts))
    entries = store.entries()
    projects = sorted({entry.key.partition("/")[0] for entry in entries if "/endpoints/" in entry.key})
    names = dict.fromkeys([parts.settings.name, *projects])
    others = [of_project(Records(store, name), old) for name in names]
    manifests = parts.records.manifests(parts.records.all_jobs())
    reasons = together(needed, *others, of_manifests(manifests, old))
    return Seen(manifests, Sweeping(parts.records).files(entries), reasons)


def due(seen: Seen, marks: Marks, now: datetime) -> list[Address]:
    """What is swept now: marked for long enough, and still named by nothing; or swept before, and not to the end."""
    unnamed = seen.unnamed()
    waited = {job for job, key in unnamed.items() if marks.is_due(job, key, now)}
    begun = {str(job) for job in seen.files if job in seen.manifests and seen.manifests[job].swept_at}
    return [Address.parse(job) for job in sorted(waited | begun)]


def _sweep(sweeping: Sweeping, seen: Seen, job: Address, now: datetime, report: Report) -> bool:
    """The manifest says so first: nobody may rely on a model that is half gone."""
    manifest = seen.manifests[job]
    try:
        if not manifest.swept_at:
            sweeping.tombstone(manifest, now)
    except Conflict as conflict:
        report(Event(EventKind.NOTE, str(job), conflict.problems[0].what))
        return False
    sweeping.delete(seen.files[job])
    return True


def _held(
    parts: Parts, step: Step, seen: Seen, marks: Marks, *, now: datetime, swept: Sequence[Address] = ()
) -> Collected:
    found = [_one(job, files, seen, marks, now, is_swept=job in swept) for job, files in sorted(seen.files.items())]
    notes = []
    if unknown := sorted(str(job) for job in seen.files if job not in seen.manifests):
        notes.append(f"{', '.join(unknown)}: not ended, so left alone")
    if parts.store.uri.startswith("s3://") and step == "sweep" and swept:
        notes.append("in a bucket with versions, what was deleted takes room until a lifecycle rule removes it")
    had = {one.job for one in found if one}
    earlier = [Held(job, "swept", 0, since=one.swept_at) for job, one in sorted(seen.manifests.items()) if one.swept_at]
    return Collected(
        step, tuple(one for one in found if one), tuple(notes), tuple(one for one in earlier if one.job not in had)
    )


def _one(job: Address, files: JobFiles, seen: Seen, marks: Marks, now: datetime, *, is_swept: bool) -> Held | None:
    manifest = seen.manifests.get(job)
    if manifest is None:
        return None
    if is_swept:
        return Held(job, "swept", files.bytes, since=now)
    if manifest.swept_at:
        return Held(job, "due", files.bytes, since=manifest.swept_at)
    if job in seen.reasons:
        return Held(job, "kept", files.bytes, seen.reasons[job])
    mark = marks.jobs.get(str(job))
    if mark is None or mark.key != manifest.key:
        return Held(job, "unnamed", files.bytes)
    return Held(job, "due" if now >= mark.due_at else "marked", files.bytes, since=mark.since)


def restore(parts: Parts, job: Address, archive: Path | None, *, report: Report) -> Manifest:
    """Give a swept job its model back, from a copy or from what lies in the store. WorldError where that is another
    one."""
    sweeping = Sweeping(parts.records)
    with project_lock(parts.store, parts.settings.name, command="gc --restore", wait_seconds=PATIENCE_SECONDS):
        manifest = parts.records.manifests([job]).get(job)
        if manifest is None or not manifest.swept_at:
            raise WorldError(f"{job} was not swept", fix="`sagespec gc` lists what was")
        model = manifest.artifacts.get("model")
        if model is None:
            raise WorldError(f"{job} had no model", fix="train it as another version")
        key = sweeping.model_key(job)
        if archive is not None:
            _check_copy(archive, model.sha256, job)
            parts.store.upload(key, archive)
        parts.store.download(key, parts.scratch / f"{job.name}-{job.version}.tar.gz", sha256=model.sha256)
        sweeping.tombstone(manifest, None)
        marks, etag = sweeping.marks()
        if str(job) in marks.swept:
            sweeping.write_marks(marks.restored(str(job)), etag)
        report(Event(EventKind.NOTE, str(job), "has its model again"))
        return manifest.model_copy(update={"swept_at": None})


def _check_copy(archive: Path, sha256: str, job: Address) -> None:
    import hashlib

    if not archive.is_file():
        raise WorldError(f"there is no file {archive}", fix="name a copy of the model.tar.gz")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise WorldError(
            f"{archive} is not the model of {job}",
            why=f"its SHA-256 is {found[:12]}…, and the manifest says {sha256[:12]}…",
            fix="find the right copy, or train it as another version",
        )
