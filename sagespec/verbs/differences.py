"""What jobs differ in: a row for each hyperparameter or metric. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagespec.state.manifest import Manifest
from sagespec.state.secrets import is_secret_field

Value = str | float | None


@dataclass(frozen=True)
class Row:
    """values: of each job, None where it has none."""

    name: str
    values: Sequence[Value]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def parameters_of(manifest: Manifest | None) -> Mapping[str, str]:
    """The hyperparameters it was trained with, less what may be secret."""
    fields = manifest.key_fields if manifest else {}
    found = {name: str(value) for name, value in fields.items() if name.startswith("hyperparameters.")}
    kept = {name: value for name, value in found.items() if not is_secret_field(name, value)}
    return {name.removeprefix("hyperparameters."): value for name, value in kept.items()}


def rows_of(found: Sequence[Mapping[str, str] | Mapping[str, float]]) -> list[Row]:
    """A row for each name that any of them has."""
    names = dict.fromkeys(name for one in found for name in one)
    return [Row(name, [one.get(name) for one in found]) for name in names]


def differing_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: not row.differs)
