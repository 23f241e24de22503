"""Some rows of a file whose columns have names, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.named_files import Values
from toolkit.places import Place
from toolkit.rows import FloatArray


@dataclass(frozen=True)
class Part:
    """places: of the file's columns, from 0. decimal_commas: the columns that had them."""

    place: Place
    values: Values
    places: Mapping[str, int]
    decimal_commas: frozenset[str] = frozenset()

    def of(self, name: str) -> Sequence[Any] | FloatArray:
        return self.values.columns[self.places[name]]

    def replaced(self, columns: Mapping[str, Sequence[str]]) -> Part:
        """The same with other values in some columns."""
        values = [columns.get(name, self.of(name)) for name in self.places]
        return replace(self, values=replace(self.values, columns=values), decimal_commas=frozenset(columns))

    def numbered(self, name: str) -> str:
        return f"column {self.places[name] + 1} ({name})"

    def at(self, name: str, row: int) -> str:
        return self.place.field(self.values.numbers[row], "column", self.places[name] + 1, name)
