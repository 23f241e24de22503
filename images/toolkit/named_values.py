"""The rows of named columns as one host has them: numbers, and texts as codes, each checked where it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.columns import MOST_CATEGORIES, BadValue, Column, categories_of, listed, numbers_of, shown
from toolkit.errors import ClientError
from toolkit.finite import first_unfit, why_unfit
from toolkit.limits import TooLarge
from toolkit.named_files import values_in
from toolkit.named_layout import Layout, NamedChannel
from toolkit.named_parts import Part
from toolkit.named_troubles import fix_of_too_many, why_no_numbers, with_decimal_points
from toolkit.places import Place
from toolkit.reading import FILE_FORMATS
from toolkit.rows import BadRow, FloatArray
from toolkit.streams import streams

MOST_CLASSES = 1000
SHOWN_ROWS = 5


@dataclass
class Codes:
    """A column of texts as numbers: each text's place among those seen."""

    texts: dict[str, int] = field(default_factory=dict)
    parts: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, values: Sequence[str]) -> None:
        texts = self.texts
        self.parts.append(np.array([texts.setdefault(text, len(texts)) for text in values], np.int64))

    def places_in(self, order: Mapping[str, int]) -> NDArray[np.int64]:
        """Each row's place in `order`, -1 where it has none."""
        lookup = np.array([order.get(text, -1) for text in self.texts] or [-1], np.int64)
        places: NDArray[np.int64] = lookup[joined(self.parts, np.int64)]
        return places


@dataclass
class Gathered:
    """A channel's rows on this host, before the hosts agree on what they mean. Labels are numbers or classes."""

    channel: NamedChannel
    row_count: int = 0
    numbers: dict[str, list[FloatArray]] = field(default_factory=dict)
    codes: dict[str, Codes] = field(default_factory=dict)
    labels: list[FloatArray] = field(default_factory=list)
    classes: Codes = field(default_factory=Codes)
    unlabelled: list[int] = field(default_factory=list)  # rows of the present file
    decimal_commas: dict[str, None] = field(default_factory=dict)  # the columns that had them

    @property
    def place(self) -> str:
        return f"channel {self.channel.channel.name}"

    def of(self, name: str) -> FloatArray:
        return joined(self.numbers.get(name, []), np.float64)


def joined(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def gathered_from(channel: NamedChannel, layout: Layout) -> Gathered:
    """The rows of all files of this host. Raises ClientError."""
    gathered = Gathered(channel)
    for path, stream in streams(channel.channel):
        place = Place.of(channel.channel, path, FILE_FORMATS[channel.content_type].before_row)
        try:
            names, blocks = values_in(stream, layout.texts, is_parquet=channel.is_parquet)
            for values in blocks:
                part = Part(place, values, {name: at for at, name in enumerate(names)})
                _add(gathered, with_decimal_points(part, _numeric(part, layout)), layout)
            if gathered.unlabelled and layout.target:
                raise ClientError(_unlabelled(place, names, layout.target.name, gathered.unlabelled))
        except BadRow as error:
            raise ClientError(error.at(place)) from error
        except TooLarge as error:
            raise ClientError(f"{place}: {error}") from error
    return gathered


def _numeric(part: Part, layout: Layout) -> list[str]:
    """The columns that should hold numbers, and the label's, which may."""
    columns = [*layout.features, *((layout.target,) if layout.target else ())]
    return [column.name for column in columns if column.categories is None and column.name in part.places]


def _add(gathered: Gathered, part: Part, layout: Layout) -> None:
    gathered.row_count += len(part.values.numbers)
    gathered.decimal_commas |= dict.fromkeys(sorted(part.decimal_commas, key=part.places.__getitem__))
    bad: dict[Column, BadValue] = {}
    for column in layout.features:
        if column.categories is not None:
            codes = gathered.codes.setdefault(column.name, Codes())
            codes.add(categories_of(part.of(column.name)))
            _check_count(part, column.name, codes.texts)
            continue
        try:
            gathered.numbers.setdefault(column.name, []).append(numbers_of(part.of(column.name)))
        except BadValue as error:
            bad[column] = error
    if bad:
        raise ClientError(why_no_numbers(part, bad))
    if layout.target and layout.target.name in part.places:
        _add_labels(gathered, part, layout.target.name)


def _check_count(part: Part, name: str, texts: Mapping[str, int], *, is_label: bool = False) -> None:
    most = MOST_CLASSES if is_label else MOST_CATEGORIES
    if len(texts) > most + 1:
        raise ClientError(
            f"{part.place}, {part.numbered(name)}: more than {most:,} different values, such as "
            f"{listed(map(repr, texts), 3)}; {fix_of_too_many(list(texts), is_label=is_label)}"
        )


def _number(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unlabelled(place: Place, names: Sequence[str], target: str, rows: Sequence[int]) -> str:
    at = place.field(rows[0], "column", names.index(target) + 1, target)
    if len(rows) == 1:
        return f"{at}: the label is missing; correct the row, or remove it"
    others = listed(map(str, rows[1:]), SHOWN_ROWS - 1)
    return f"{at}: the label is missing in {len(rows):,} rows, also in {others}; correct them, or remove them"


def _add_labels(gathered: Gathered, part: Part, name: str) -> None:
    """Labels are numbers or names of classes; a channel that has both is refused."""
    values = part.of(name)
    numbers, is_text = _labels_of(values)
    missing = np.isnan(numbers) & ~is_text
    gathered.unlabelled += [part.values.numbers[row] for row in np.flatnonzero(missing).tolist()]
    if (row := first_unfit(np.where(is_text | missing, 0.0, numbers), allow_missing=False)) is not None:
        why = why_unfit(float(numbers[row]))
        raise ClientError(f"{part.at(name, row)}: the label {why}; correct the row, or remove it")
    if gathered.unlabelled:
        return
    expects_text = bool(gathered.classes.texts) or (not gathered.labels and bool(is_text.all()))
    if len(others := np.flatnonzero(is_text != expects_text)):
        verb = "is a number, but other labels are text" if expects_text else "is not a number, but other labels are"
        label = shown(str(values[others[0]]))
        raise ClientError(f"{part.at(name, int(others[0]))}: the label {label} {verb}; correct the row, or remove it")
    if not expects_text:
        gathered.labels.append(numbers)
        return
    gathered.classes.add(categories_of(values))
    _check_count(part, name, gathered.classes.texts, is_label=True)


def _labels_of(values: Sequence[Any] | FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Labels as numbers, NaN for a missing one, and which of them are texts instead."""
    if isinstance(values, np.ndarray):
        return values, np.zeros(len(values), np.bool_)
    with suppress(TypeError, ValueError):
        if "_" not in "".join(values):
            return np.array([float(value) for value in values]), np.zeros(len(values), np.bool_)
    texts = categories_of(values)
    numbers = np.array([_label(text) for text in texts])
    return numbers, np.isnan(numbers) & np.array([text.lower() not in ("", "nan") for text in texts], np.bool_)


def _label(text: str) -> float:
    """NaN for a text, and for a missing one."""
    if text in ("True", "False"):
        return float(text == "True")
    return math.nan if "_" in text else _number(text)
