"""The revisions of endpoints and the manifests of jobs: what was requested, when, from which commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.show.figures import commit_text, counted, metrics_text, seconds_text, size_text, when_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.state.manifest import Manifest
    from sagespec.state.revision import Revision
    from sagespec.verbs.history import Recorded


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
        screen.table(_revision_rows(rows), head=("REVISION", "STATUS", "WHEN", "COMMIT", "CHANGED"), indent="  ")
    if revisions and manifests:
        screen.line()
    if manifests:
        rows_of_jobs = [_manifest_row(manifest) for manifest in manifests]
        screen.table(rows_of_jobs, head=("JOB", "STATUS", "WHEN", "COMMIT", "TOOK", "METRICS"))
    if len(manifests) == 1 and not revisions:
        _write_manifest(screen, manifests[0])
    if not revisions and not manifests:
        screen.line("no history yet; it begins with the first `sagespec apply`")


_STATUS_TONES = {"live": "good", "completed": "good", "superseded": "dim", "removed": "dim"}


def _revision_rows(revisions: Sequence[Revision]) -> list[list[Cell]]:
    from sagespec.verbs.changes import rows_of

    rows: list[list[Cell]] = []
    for row in rows_of(revisions):
        revision, status, changes = row.revision, row.status, row.changes
        reason = revision.reason.split("\n")[0]
        told = ", ".join(changes) + (f"; {reason}" if changes and reason else reason)
        rows.append(
            [
                str(revision.number),
                (status.replace("_", " "), _STATUS_TONES.get(status, "bad")),
                when_text(revision.started_at),
                commit_text(revision.git),
                told or "-",
            ]
        )
    return rows


def _manifest_row(manifest: Manifest) -> list[Cell]:
    took = (manifest.ended_at - manifest.started_at).total_seconds()
    return [
        f"job/{manifest.name}@{manifest.version}",
        (manifest.status.value, _STATUS_TONES.get(manifest.status.value, "bad")),
        when_text(manifest.ended_at),
        commit_text(manifest.git),
        seconds_text(took),
        metrics_text(manifest.metrics) or manifest.reason.split("\n")[0] or "-",
    ]


def _write_manifest(screen: Screen, manifest: Manifest) -> None:
    """Where a model came from and what it is made of."""
    rows: list[list[Cell]] = [[("key", "dim"), manifest.key]]
    rows += [[("reason", "dim"), manifest.reason]] if manifest.reason else []
    rows += [[("note", "dim"), note] for note in manifest.notes]
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
    screen.line()
    screen.table(rows, indent="  ")
