"""What the named columns of a table mean, learned from the channel an algorithm trains on and applied to every row.

A numeric column is one feature. A categorical one is a feature for each of its values, 1 in the row's own and 0 in the
others; a value that training has not seen, or none, is 0 in all. The mapping travels beside the model, under a name
that hosted servers pass over, and its server reads requests by it (`named_requests`).
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.finite import first_unfit, why_unfit
from toolkit.rows import FloatArray
from toolkit.spellings import spelling_of

MOST_CATEGORIES = 1000
NO_NUMBERS = frozenset(
    {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?"}
)  # how files write a missing number
TRUTHS = {"true": 1.0, "false": 0.0}
PLAIN = re.compile(r"[^\W\d][\w .-]*\w|[^\W\d]")
YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null"})
WHOLE = re.compile(r"(-?\d+)\.0+")


@dataclass(frozen=True)
class Wanted:
    """What the spec says of the columns. target: the label's column, None for none."""

    target: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: dict[str, Any]) -> Wanted:
        return cls(document.get("target"), tuple(document.get("drop", ())), tuple(document.get("categorical", ())))

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that each field names."""
        return {"target": (self.target,) if self.target else (), "drop": self.drop, "categorical": self.categorical}


@dataclass(frozen=True)
class Column:
    """One column that is learned from. categories: None where it holds numbers; fill: what a missing one counts as."""

    name: str
    number: int  # its place in the training file, from 1
    categories: tuple[str, ...] | None = None
    fill: float = math.nan

    @classmethod
    def of(cls, document: dict[str, Any]) -> Column:
        categories = document["categories"]
        fill = math.nan if document["fill"] is None else float(document["fill"])
        return cls(document["name"], document["number"], None if categories is None else tuple(categories), fill)

    @property
    def width(self) -> int:
        return 1 if self.categories is None else len(self.categories)

    @cached_property
    def places(self) -> dict[str, int]:
        return {text: place for place, text in enumerate(self.categories or ())}

    def __str__(self) -> str:
        return f"column {self.number} ({self.name})"

    def features(self, values: Sequence[Any] | FloatArray) -> FloatArray:
        """The features of a column's values, shape (rows, width). Raises BadValue."""
        if self.categories is None:
            numbers = numbers_of(values)
            return np.where(np.isnan(numbers), self.fill, numbers)[:, np.newaxis]
        places = [self.places.get(text, -1) for text in categories_of(values)]
        return self.marked(np.array(places, np.int64))

    def marked(self, places: NDArray[np.int64]) -> FloatArray:
        """1 at each row's place, nothing where that is -1."""
        marked = np.zeros((len(places), self.width))
        rows = np.flatnonzero(places >= 0)
        marked[rows, places[rows]] = 1.0
        return marked


@dataclass(frozen=True)
class Columns:
    """The mapping: the columns learned from in the training file's order, the label's, and those passed over.

    classes: the names of the labels 0, 1, …; empty where the label was a number.
    """

    features: tuple[Column, ...]
    target: str | None = None
    dropped: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return sum(column.width for column in self.features)

    @cached_property
    def by_name(self) -> dict[str, int]:
        return {column.name: place for place, column in enumerate(self.features)}

    @cached_property
    def passed_over(self) -> frozenset[str]:
        """Names that a request may have, and that count for nothing."""
        return frozenset(self.dropped) | ({self.target} if self.target else frozenset())

    def to_json(self) -> bytes:
        document = asdict(self)
        for column in document["features"]:
            column["fill"] = None if math.isnan(column["fill"]) else column["fill"]
        return json.dumps(document, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Columns:
        document = json.loads(text)
        features = tuple(Column.of(column) for column in document["features"])
        return cls(features, document["target"], tuple(document["dropped"]), tuple(document["classes"]))


class BadValue(ValueError):
    """A value that is no number to learn from; row is its place among the values, from 0."""

    def __init__(self, row: int, value: Any, reason: str = "") -> None:
        self.row, self.value, self.is_number = row, value, bool(reason)
        spelling = None if reason or not isinstance(value, str) else spelling_of(value)
        hint = f"; {spelling}" if spelling else ""
        super().__init__(f" {reason}" if reason else f": {shown(value)} is not a number{hint}")  # to follow a place


def shown(value: Any) -> str:
    return repr(value if len(str(value)) <= 40 else f"{str(value)[:40]}…")


def numbers_of(values: Sequence[Any] | FloatArray) -> FloatArray:
    """Numbers of texts or of JSON's values, NaN where one is missing. Raises BadValue."""
    numbers = values if isinstance(values, np.ndarray) else _parsed(values)
    if (row := first_unfit(numbers, allow_missing=True)) is not None:
        raise BadValue(row, values[row], why_unfit(float(numbers[row])))
    return numbers


def _parsed(values: Sequence[Any]) -> FloatArray:
    with suppress(TypeError, ValueError):
        if "_" not in "".join(values):  # Python reads 1_000 as a number, nobody else does
            return np.array([float(text or "nan") for text in values])
    numbers = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            numbers[row] = number_of(value)
        except (TypeError, ValueError, OverflowError):
            raise BadValue(row, value) from None
    return numbers


def number_of(value: Any) -> float:
    """The number that a file or a request writes so, NaN for a missing one. Raises ValueError or TypeError."""
    if value is None:
        return math.nan
    if not isinstance(value, str):
        if not isinstance(value, int | float):
            raise TypeError
        return float(value)
    text = value.strip()
    lower = text.lower()
    if lower in NO_NUMBERS:
        return math.nan
    if lower in TRUTHS:
        return TRUTHS[lower]
    if "_" in text:
        raise ValueError
    return float(text)


def category_of(value: Any) -> str:
    """The one spelling of a category, '' for none: 36, "36" and 36.0 are one, and so are true and "True"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip()
    if text.lower() in TRUTHS:
        return text.capitalize()
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text


def categories_of(values: Sequence[Any] | FloatArray) -> list[str]:
    """`category_of` for each; most columns have few different values."""
    kinds = set(map(type, values))
    if bool in kinds and len(kinds) > 1:  # True and 1 are one value to Python
        return [category_of(value) for value in values]
    try:
        known = {value: category_of(value) for value in set(values)}
    except TypeError:  # lists and the like
        return [category_of(value) for value in values]
    return [known[value] for value in values]


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """'did you mean …?', or what there is."""
    lower = {known_name.lower(): known_name for known_name in known if known_name}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return f"did you mean {lower[close[0]]!r}?" if close else otherwise or f"the columns are {listed(lower.values())}"


def as_yaml(name: str) -> str:
    """A name as the spec writes it: in quotes where YAML would take it for something else."""
    is_plain = PLAIN.fullmatch(name) and name.lower() not in YAML_WORDS
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def listed(names: Iterable[str], most: int = 20) -> str:
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
