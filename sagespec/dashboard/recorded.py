"""What happened, as the store remembers it: how jobs and revisions ended, who applied which spec last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sagespec.project import Project
from sagespec.show.figures import commit_text, seconds_text
from sagespec.state.manifest import Applied, Manifest
from sagespec.verbs.changes import Row, rows_of


@dataclass(frozen=True)
class Past:
    """word: what happened, as a state. by: who it was, as far as that is recorded. commit: of the specs."""

    at: datetime
    about: str
    word: str
    text: str
    by: str = ""
    commit: str = ""


def recorded(project: Project) -> tuple[Past, ...]:
    """The newest first."""
    found = project.recorded()
    rows = ((str(address), row) for address, revisions in found.revisions.items() for row in rows_of(revisions))
    pasts = [
        *map(_of_job, found.manifests),
        *(_of_revision(address, row) for address, row in rows),
        *_of_applied(project.parts.records.applied()),
    ]
    return tuple(sorted(pasts, key=lambda past: past.at, reverse=True))


def _of_job(manifest: Manifest) -> Past:
    took = seconds_text((manifest.ended_at - manifest.started_at).total_seconds())
    about = f"job/{manifest.name}@{manifest.version}"
    text = f"{manifest.headline}, after {took}" if manifest.reason else f"after {took}"
    by = manifest.by.full_text if manifest.by else ""
    return Past(manifest.ended_at, about, manifest.status.value, text, by=by, commit=commit_text(manifest.git))


def _of_revision(address: str, row: Row) -> Past:
    revision = row.revision
    reason = revision.reason.partition("\n")[0]
    text = "; ".join(filter(None, (f"revision {revision.number}", ", ".join(row.changes), reason)))
    at = revision.ended_at or revision.started_at
    by = revision.by.full_text if revision.by else ""
    return Past(at, address, row.status, text, by=by, commit=commit_text(revision.git))


def _of_applied(applied: Applied) -> Iterator[Past]:
    named = [(f"endpoint/{name}", spec) for name, spec in applied.endpoints.items()]
    for about, spec in [*named, *applied.jobs.items()]:
        text = "its spec was applied" if spec.hash else "it is in no spec any more"
        yield Past(spec.at, about, "applied", text, by=spec.by)
