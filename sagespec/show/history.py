"""The revisions of endpoints and the manifests of jobs: what was requested, when, from which commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagespec.show.figures import (
    commit_text,
    counted,
    metrics_text,
    milliseconds_text,
    percent_text,
    seconds_text,
    size_text,
    when_text,
)
from sagespec.show.rollouts import ended_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.state.manifest import Manifest
    from sagespec.verbs.counted import CountedOf
    from sagespec.verbs.history import Recorded, Revisions


def write_history(screen: Screen, found: Recorded) -> None:
    """The revisions of endpoints, oldest first, and what came of jobs."""
    if screen.format == "json":
        screen.document(found.as_json())
        return
    revisions, manifests = found.revisions, found.manifests
    for number, (address, rows) in enumerate(revisions.items()):
        if number:
            screen.line()
        screen.line((str(address), "bold"))
        screen.table(revision_rows(rows), head=revision_head(rows), indent="  ")
    if revisions and manifests:
        screen.line()
    if manifests:
        screen.table([manifest_row(manifest) for manifest in manifests], head=MANIFEST_HEAD)
    if len(manifests) == 1 and not revisions:
        screen.line()
        screen.table(details_of(manifests[0]), indent="  ")
    if not revisions and not manifests:
        screen.line(NO_HISTORY)


COUNTED_HEAD = ("REQUESTS", "FAILED", "P50", "P99")  # where any were counted
BY_HEAD = ("BY",)  # where it is known of any
MANIFEST_HEAD = ("JOB", "STATUS", "WHEN", "COMMIT", "TOOK", "METRICS")
NO_HISTORY = "no history yet; it begins with the first `sagespec apply`"
_STATUS_TONES = {"live": "good", "completed": "good", "superseded": "dim", "removed": "dim", "rolling": "change"}


def revision_head(revisions: Revisions) -> tuple[str, ...]:
    counted = COUNTED_HEAD if revisions.counted else ()
    by = BY_HEAD if _has_by(revisions) else ()
    return ("REVISION", "STATUS", "WHEN", "COMMIT", *by, *counted, "CHANGED")


def _has_by(revisions: Revisions) -> bool:
    return any(revision.by for revision in revisions)


def revision_rows(revisions: Revisions) -> list[list[Cell]]:
    from sagespec.verbs.changes import rows_of
    from sagespec.verbs.counted import CountedOf

    rows: list[list[Cell]] = []
    for row in rows_of(revisions, revisions.rolling):
        revision, status, changes = row.revision, row.status, row.changes
        reason = revision.reason.split("\n")[0] or (ended_text(revision.rollout) if revision.rollout else "")
        by_target = revisions.counted.get(revision.number, {})
        told = ", ".join(changes) + (f"; {reason}" if changes and reason else reason)
        rows.append(
            [
                str(revision.number),
                (status.replace("_", " "), _STATUS_TONES.get(status, "bad")),
                when_text(revision.started_at),
                commit_text(revision.git),
                *((revision.by.text if revision.by else "-",) if _has_by(revisions) else ()),
                *(counted_cells(CountedOf.of(list(by_target.values()))) if revisions.counted else ()),
                told or "-",
            ]
        )
    return rows


def counted_cells(found: CountedOf) -> list[Cell]:
    if found.error_rate is None:
        return ["-"] * 4
    failed: Cell = (percent_text(found.error_rate), "bad") if found.errors else "0 %"
    return [f"{found.requests:,}", failed, milliseconds_text(found.p50_ms), milliseconds_text(found.p99_ms)]


def manifest_row(manifest: Manifest) -> list[Cell]:
    took = (manifest.ended_at - manifest.started_at).total_seconds()
    return [
        f"job/{manifest.name}@{manifest.version}",
        (manifest.status.value, _STATUS_TONES.get(manifest.status.value, "bad")),
        when_text(manifest.ended_at),
        commit_text(manifest.git),
        seconds_text(took),
        metrics_text(manifest.metrics) or manifest.reason.split("\n")[0] or "-",
    ]


def details_of(manifest: Manifest) -> list[list[Cell]]:
    """Where a model came from and what it is made of."""
    rows: list[list[Cell]] = [[("key", "dim"), manifest.key]]
    rows += [[("imported from", "dim"), manifest.imported_from]] if manifest.imported_from else []
    rows += [[("by", "dim"), manifest.by.full_text]] if manifest.by else []
    rows += [[("reason", "dim"), manifest.reason]] if manifest.reason else []
    rows += [[("note", "dim"), note] for note in manifest.notes]
    rows += [[("swept", "dim"), f"{when_text(manifest.swept_at)}: its model is gone"]] if manifest.swept_at else []
    rows += [
        [(f"attempt {attempt.number}", "dim"), f"{seconds_text(attempt.seconds)}, {attempt.reason}".split("\n")[0]]
        for attempt in manifest.attempts[:-1]  # the last one's end is the job's
    ]
    rows += [[("program", "dim"), f"{name} {digest}".strip()] for name, digest in manifest.images.items()]
    hyperparameters = manifest.spec.get("hyperparameters") or {}
    rows.append([("hyperparameters", "dim"), ", ".join(f"{k}={v}" for k, v in hyperparameters.items()) or "-"])
    for name, data in manifest.inputs.items():
        size = f"{counted(data.objects, 'file')}, {size_text(data.bytes)}"
        rows.append([(f"channel {name}", "dim"), f"{data.source} ({size}, {data.fingerprint[:12]})"])
    for name, artifact in manifest.artifacts.items():
        rows.append([(name, "dim"), f"{artifact.key} ({size_text(artifact.size)}, sha256 {artifact.sha256[:12]})"])
    phases = ", ".join(f"{name} {seconds_text(value)}" for name, value in manifest.seconds.items())
    rows.append([("took", "dim"), phases or "-"])
    return rows
