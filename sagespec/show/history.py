"""The revisions of endpoints and the manifests of jobs: what was asked, when, from which commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sagespec.show.figures import commit_text, counted, iso, metrics_text, seconds_text, size_text, when_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.state.addresses import Address
    from sagespec.state.manifest import Manifest, Record
    from sagespec.state.revision import EndpointRecord, Revision, VariantRecord


def write_history(
    screen: Screen, revisions: Mapping[Address, Sequence[Revision]], manifests: Sequence[Manifest]
) -> None:
    """The revisions of endpoints, oldest first, and what came of jobs."""
    if screen.format == "json":
        endpoints = [{"address": str(a), "revisions": _revisions_json(rows)} for a, rows in revisions.items()]
        screen.document({"endpoints": endpoints, "jobs": [_manifest_json(manifest) for manifest in manifests]})
        return
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


def revision_statuses(revisions: Sequence[Revision]) -> list[str]:
    """Each revision's status; a live one that was followed by another, or by its removal, is superseded."""
    followed = False
    statuses = []
    for revision in reversed(revisions):
        status = revision.status.value
        statuses.append("superseded" if status == "live" and followed else status)
        followed = followed or status in ("live", "removed")
    return statuses[::-1]


def _changes_by_revision(revisions: Sequence[Revision]) -> list[list[str]]:
    """What each revision asked for that the one before did not; a removal asks for nothing new."""
    before: EndpointRecord | None = None
    changes = []
    for revision in revisions:
        changed = record_changes(before, revision.asked) if before else ["first"]
        changes.append(changed if revision.status.value != "removed" else [])
        before = revision.asked
    return changes


def record_changes(before: EndpointRecord, after: EndpointRecord) -> list[str]:
    """What a person would say changed, field by field: 'weight of stable 90 -> 80'."""
    old, new = ({variant.name: variant for variant in record.variants} for record in (before, after))
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(f"no variant {name}")
        elif name not in old:
            changes.append(f"new variant {name} serving {new[name].model.text}")
        else:
            changes += _variant_changes(old[name], new[name])
    changes += _field_changes("rollout.{}", before.rollout, after.rollout)
    return changes + _field_changes("{}", before, after, without=("variants", "rollout"))


def _variant_changes(old: VariantRecord, new: VariantRecord) -> list[str]:
    changes = _field_changes(f"{{}} of {new.name}", old, new, without=("model", "environment"))
    if old.environment != new.environment:  # its values may be secrets
        changes.append(f"environment of {new.name} changed")
    if old.model.text != new.model.text:
        return [f"model of {new.name} {old.model.text} -> {new.model.text}", *changes]
    if old.model.identity != new.model.identity:
        return [f"content of the model of {new.name} changed", *changes]
    return changes


def _field_changes(label: str, old: Record, new: Record, *, without: Collection[str] = ()) -> list[str]:
    """One text for each field that differs, in the order of the record."""
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in type(new).model_fields if name not in without)
    return [f"{label.format(name)} {_value_text(a)} -> {_value_text(b)}" for name, a, b in pairs if a != b]


def _value_text(value: object) -> str:
    match value:
        case None | "":
            return "unset"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return str(value)


def _revisions_json(revisions: Sequence[Revision]) -> list[dict[str, Any]]:
    rows = zip(revisions, revision_statuses(revisions), _changes_by_revision(revisions), strict=True)
    return [
        {
            "number": revision.number,
            "status": status,
            "changes": changes,
            "reason": revision.reason,
            "git": revision.git.model_dump(mode="json", include={"commit", "dirty"}) if revision.git else None,
            "started_at": iso(revision.started_at),
            "ended_at": iso(revision.ended_at),
        }
        for revision, status, changes in rows
    ]


_STATUS_TONES = {"live": "good", "completed": "good", "superseded": "dim", "removed": "dim"}


def _revision_rows(revisions: Sequence[Revision]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for revision, status, changes in zip(
        revisions, revision_statuses(revisions), _changes_by_revision(revisions), strict=True
    ):
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


def _manifest_json(manifest: Manifest) -> dict[str, Any]:
    """A manifest less its environment, which may hold secrets; the store has it whole."""
    kept = manifest.model_dump(mode="json", exclude={"spec", "key_fields", "project", "name", "version", "format"})
    return {
        "address": f"job/{manifest.name}@{manifest.version}",
        "hyperparameters": manifest.spec.get("hyperparameters") or {},
        **kept,
    }
