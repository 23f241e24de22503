"""What to do about columns that should hold numbers and do not: text, dates, and numbers that are written otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import cast

from toolkit.columns import NO_NUMBERS, BadValue, Column, as_yaml, categories_of, listed, shown
from toolkit.errors import ClientError
from toolkit.named_parts import Part
from toolkit.spellings import first_with_point, is_number, spelling_of_column, with_points

FEW = 50  # different values of a text column for which we suggest categories
WORDS = {"y": "yes", "n": "no", "t": "true", "f": "false"}
DATE = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[./]\d\d?[./]\d{2,4}( .*)?")


def why_no_numbers(part: Part, bad: Mapping[Column, BadValue]) -> str:
    """Of all the columns at once, unless one of them holds numbers and something else."""
    spelled: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    dates: set[str] = set()
    for column, error in bad.items():
        name = column.name
        values = [value for value in dict.fromkeys(categories_of(part.of(name))) if value.lower() not in NO_NUMBERS]
        if isinstance(error.value, date | time | timedelta):
            texts[name] = values
            dates.add(name)
        elif error.is_number or not isinstance(error.value, str):
            return f"{part.at(name, error.row)}{error}"
        elif spelling := spelling_of_column(values):
            spelled[name] = f"{part.numbered(name)}: {listed(map(shown, values), 3)} ({spelling})"
        elif any(is_number(value) for value in values):
            hint = "and other rows hold numbers; correct it, or leave it empty if it is missing"
            return f"{part.at(name, error.row)}{error}, {hint}"
        else:
            texts[name] = values
    heads = [f"{part.place} has numbers that cannot be read: {'; '.join(spelled.values())}"] if spelled else []
    heads += [_of_text(part, texts, dates, "it" if spelled else str(part.place))] if texts else []
    return ". Also, ".join(heads)


def _of_text(part: Part, texts: Mapping[str, Sequence[str]], dates: set[str], subject: str) -> str:
    most = max(2, min(FEW, len(part.values.numbers) // 2))
    few = [n for n, values in texts.items() if len(values) <= most and not (n in dates or _are_dates(values))]
    many = [name for name in texts if name not in few]
    columns = "; ".join(f"{part.numbered(name)}: {listed(map(shown, values), 3)}" for name, values in texts.items())
    advice = [f"categorical: [{', '.join(map(as_yaml, few))}]"] if few else []
    advice += [f"drop: [{', '.join(map(as_yaml, many))}]"] if many else []
    what = "text" if not dates else "dates" if len(dates) == len(texts) else "text and dates"
    to_learn = "name each such column under categorical, to learn from it, or under drop"
    if what == "dates":
        to_learn = "name each such column under drop (to learn from a date, write it as a number, such as its year)"
    return f"{subject} has {what} where numbers are expected: {columns}. In the spec, beside target, {to_learn}: " + (
        ", ".join(advice)
    )


def fix_of_too_many(texts: Sequence[str], *, is_label: bool) -> str:
    """What to do about a column that has too many different values to be taken for categories or classes."""
    if spelling := spelling_of_column(texts):
        return f"these look like numbers with {spelling}" + ("" if is_label else ", and take it out of categorical")
    if is_label:
        return "is it the column to predict? Name that as target, or group its values"
    are_numbers = 2 * sum(map(is_number, texts)) > len(texts)
    return "take it out of categorical, to learn from its numbers" if are_numbers else "drop it, or group its values"


def classes_alike(classes: Sequence[str]) -> str:
    """A question about classes that are probably one; '' if there are none.

    >>> classes_alike(["No", "Yes", "no", "yes"]), classes_alike(["no", "yes"])
    ('do No and no mean the same? Do Yes and yes?', '')
    """
    groups: dict[str, list[str]] = {}
    for text in classes:
        lower = " ".join(text.casefold().split())
        groups.setdefault(WORDS.get(lower, lower), []).append(text)
    alike = [listed(group, 5).replace(", ", " and ") for group in groups.values() if len(group) > 1]
    if not alike:
        return ""
    return f"do {alike[0]} mean the same?" + "".join(f" Do {some}?" for some in alike[1:3])


def with_decimal_points(part: Part, names: Sequence[str]) -> Part:
    """The rows with points for the decimal commas of the columns `names`, where a comma does not separate fields.

    Raises ClientError where other columns have decimal points: 1.234 then may be either.
    """
    if part.values.separator == ",":
        return part
    texts: dict[str, Sequence[str]] = {name: cast("Sequence[str]", part.of(name)) for name in names}  # it is CSV
    if not any(with_points(column) for column in texts.values()):
        return part
    certain = {name: with_points(column, is_certain=True) for name, column in texts.items()}
    columns = {name: plain for name, plain in certain.items() if plain}
    pointed = {name: text for name in names if name not in columns and (text := first_with_point(texts[name]))}
    if pointed:
        comma, (point, text) = next(iter(columns)), next(iter(pointed.items()))
        raise ClientError(
            f"{part.place}: {part.numbered(comma)} has decimal commas, but {part.numbered(point)} has points, "
            f"{shown(text)}; write all numbers with decimal points, as in 1234.5"
        )
    return part.replaced(columns)


def _are_dates(values: Sequence[str]) -> bool:
    return all(map(DATE.fullmatch, values))
