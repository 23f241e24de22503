"""What became of each revision of an endpoint, and what it changed: the rows of `history`, as values.

Works on records alone; `history` reads them from the store, `show` writes the rows for people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.spec.values import in_flow, written_size
from sagespec.state.manifest import Record
from sagespec.state.revision import EndpointRecord, Revision, VariantRecord
from sagespec.state.secrets import ROTATED, rotated


@dataclass(frozen=True)
class Row:
    """One revision. status: its own, superseded or rolling. changes: what it asked for that the one before did not."""

    revision: Revision
    status: str
    changes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        revision = self.revision
        return {
            "number": revision.number,
            "status": self.status,
            "changes": list(self.changes),
            "reason": revision.reason,
            "git": revision.git.model_dump(mode="json", include={"commit", "dirty"}) if revision.git else None,
            **({"by": revision.by.model_dump(mode="json")} if revision.by else {}),
            "started_at": revision.started_at.isoformat(),
            "ended_at": revision.ended_at.isoformat() if revision.ended_at else None,
            **({"rollout": revision.rollout.model_dump(mode="json")} if revision.rollout else {}),
        }


ROLLING = "rolling"  # of one that is on its way, which the store has no revision of yet


def rows_of(revisions: Sequence[Revision], rolling: Revision | None = None) -> list[Row]:
    """A row for each of an endpoint's revisions, oldest first. rolling: what is to become the next one."""
    every = [*revisions, *([rolling] if rolling else [])]
    statuses = [*_statuses(revisions), *([ROLLING] if rolling else [])]
    known = zip(every, statuses, _changes(every), strict=True)
    return [Row(revision, status, tuple(changes)) for revision, status, changes in known]


def _statuses(revisions: Sequence[Revision]) -> list[str]:
    """Each revision's status; a live one that was followed by another, or by its removal, is superseded."""
    followed = False
    statuses = []
    for revision in reversed(revisions):
        status = revision.status.value
        statuses.append("superseded" if status == "live" and followed else status)
        followed = followed or status in ("live", "removed")
    return statuses[::-1]


def _changes(revisions: Sequence[Revision]) -> list[list[str]]:
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
    changes += _field_changes("split.{}", before.split, after.split)
    changes += _field_changes("limits.{}", before.limits, after.limits)
    return changes + _field_changes("{}", before, after, without=("variants", "rollout", "split", "limits"))


def _variant_changes(old: VariantRecord, new: VariantRecord) -> list[str]:
    changes = _field_changes(f"{{}} of {new.name}", old, new, without=("model", "environment", "restart", "secrets"))
    changes += [f"environment.{name} of {new.name} {word}" for name, word in _variables(old, new)]
    changes += [f"secret {name} of {new.name} {ROTATED}" for name in rotated(old.secrets, new.secrets)]
    if old.model.text != new.model.text:
        return [f"model of {new.name} {old.model.text} -> {new.model.text}", *changes]
    if old.model.sha256 and new.model.sha256 and old.model.sha256 != new.model.sha256:
        again = f"{old.model.sha256[:12]} -> {new.model.sha256[:12]}"
        return [f"model of {new.name} {new.model.text} trained again: {again}", *changes]
    if old.model.identity != new.model.identity:
        return [f"content of the model of {new.name} changed", *changes]
    return changes


def _variables(old: VariantRecord, new: VariantRecord) -> Iterator[tuple[str, str]]:
    """The variables that differ, and how: any value may be a secret."""
    before, after = old.environment, new.environment
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield name, "added" if name not in before else "removed" if name not in after else "changed"


def _field_changes(label: str, old: Record, new: Record, *, without: Collection[str] = ()) -> list[str]:
    """One text for each field that differs, in the order of the record."""
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in type(new).model_fields if name not in without)
    return [f"{label.format(name)} {_value_text(name, a)} -> {_value_text(name, b)}" for name, a, b in pairs if a != b]


def _value_text(field: str, value: object) -> str:
    match value:
        case int() if field == "memory":
            return written_size(value)
        case None | "":
            return "unset"
    return in_flow(value)
