"""Requests to a model that was trained on named columns, as rows of numbers.

A request names its columns (objects in JSON, MLflow's `dataframe_split` and `dataframe_records`, a header line in CSV),
or has a row's values in the order of the training file's columns, those left out that training did not learn from.
What a named row leaves out is missing; a name that the training data did not have is refused.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from toolkit.columns import BadValue, Column, Columns, listed, number_of, shown, suggestion
from toolkit.instances import features_of
from toolkit.limits import require_room, require_room_for_json
from toolkit.media import CSV, JSON, JSON_LINES, MediaType
from toolkit.rows import BYTE_ORDER_MARK, FloatArray

READS = (CSV, JSON, JSON_LINES)
SEPARATORS = ",;\t|"
BYTES_OF_A_TEXT = 64
LONGEST_COMPARED = 100  # of a name that the model does not know
INSTANCE_KEYS = frozenset({"features", "data"})


class BadRequest(ValueError):
    """A body that could be read, but does not fit the model's columns."""


def rows_of(body: bytes, media: MediaType, columns: Columns) -> FloatArray:
    """Shape (rows, columns.width). Raises ValueError for a body that cannot be read, BadRequest for one that does not
    fit."""
    if media.name == CSV:
        values = _of_csv(body, media.parameters.get("header", ""), columns)
    else:
        require_room_for_json(body)
        plain = body.removeprefix(BYTE_ORDER_MARK)
        values = (
            _of_instances([orjson.loads(line) for line in plain.splitlines() if line.strip()], columns)
            if media.name == JSON_LINES
            else _of_document(orjson.loads(plain), columns)
        )
    _require_room(len(values[0]), columns)
    parts = [_features(column, some) for column, some in zip(columns.features, values, strict=True)]
    return np.hstack(parts)


def _require_room(row_count: int, columns: Columns) -> None:
    require_room(8 * row_count * columns.width, f"{row_count} rows of {columns.width} features")


def _features(column: Column, values: Sequence[Any]) -> FloatArray:
    for row, value in enumerate(values, 1):
        if isinstance(value, list | dict):
            raise BadRequest(f"row {row}: {column.name}: {shown(json.dumps(value))} is not one value")
    try:
        return column.features(values)
    except BadValue as error:
        raise BadRequest(f"row {error.row + 1}: {column.name}{error}") from None


def _of_csv(body: bytes, header: str, columns: Columns) -> list[Sequence[Any]]:
    text = body.removeprefix(BYTE_ORDER_MARK).decode()
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = next((mark for mark in SEPARATORS if mark in first), ",")
    require_room(BYTES_OF_A_TEXT * (text.count(separator) + text.count("\n") + 1), "the body's fields")
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        rows = [row for row in reader if len(row) > 1 or (row and (row[0].strip() or len(columns.features) == 1))]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not rows:
        raise ValueError("there are no rows")
    if header == "absent" or (header != "present" and not _is_header(rows[0], columns)):
        return _by_place(rows, columns)
    names = [name.strip() for name in rows[0]]
    return _by_name(names, rows[1:], columns)


def _is_header(fields: Sequence[str], columns: Columns) -> bool:
    """Whether a first line holds names: none of it is a number, and half of it or more are the model's columns.

    Names that are numbers count only in the order of the training file: another order may be a row.
    """
    names = [field.strip() for field in fields]
    if len(names) == len(columns.features) and all(map(_is_number, names)):
        return names == list(columns.by_name)
    known = sum(name in columns.by_name or name in columns.passed_over for name in names)
    return known == len(names) or (2 * known >= len(names) and not any(map(_is_number, names)))


def _is_number(text: str) -> bool:
    try:
        number_of(text)
    except ValueError:
        return False
    return True


def _of_document(document: Any, columns: Columns) -> list[Sequence[Any]]:
    if isinstance(document, list):
        return _of_instances(document, columns)
    if isinstance(document, dict):
        if isinstance(document.get("instances"), list):
            return _of_instances(document["instances"], columns)
        if isinstance(document.get("dataframe_records"), list):
            return _of_instances(document["dataframe_records"], columns)
        split = document.get("dataframe_split")
        if isinstance(split, dict) and isinstance(split.get("data"), list) and isinstance(split.get("columns"), list):
            return _by_name([str(name) for name in split["columns"]], split["data"], columns)
        if document.keys() & columns.by_name.keys():
            return _of_instances([document], columns)
    raise ValueError(
        'one row is written {"column": value, …}, several {"instances": [{"column": value, …}, …]}, '
        '{"dataframe_records": [{…}, …]} or {"dataframe_split": {"columns": […], "data": [[…], …]}}; '
        + _what_is_learned_from(columns)
    )


def _of_instances(instances: list[Any], columns: Columns) -> list[Sequence[Any]]:
    """Objects that name their columns, or the spellings of rows that other models here read."""
    if not instances:
        raise ValueError("there are no rows")
    if all(_is_row(instance, columns) for instance in instances):
        rows = [features_of(instance) for instance in instances]
        if any(isinstance(row, dict) for row in rows):
            raise BadRequest('sparse instances do not go with named columns; name the columns: {"column": value, …}')
        return _by_place(rows, columns)
    for row, instance in enumerate(instances, 1):
        if not isinstance(instance, dict):
            raise BadRequest(f"row {row}: some rows name their columns, others do not")
        _check_names(instance, columns, f"row {row}: ")
        if not instance.keys() & columns.by_name.keys():
            raise BadRequest(f"row {row} names none of the model's columns; {_what_is_learned_from(columns)}")
    _require_room(len(instances), columns)
    return [[instance.get(column.name) for instance in instances] for column in columns.features]


def _is_row(instance: Any, columns: Columns) -> bool:
    if not isinstance(instance, dict):
        return True
    return bool(instance.keys() & (INSTANCE_KEYS - columns.by_name.keys() - columns.passed_over))


def _by_name(names: Sequence[str], rows: Sequence[Any], columns: Columns) -> list[Sequence[Any]]:
    if not rows:
        raise ValueError("there are no rows below the names")
    _check_names(names, columns, "")
    for row, fields in enumerate(rows, 1):
        if not isinstance(fields, list) or len(fields) != len(names):
            raise BadRequest(f"row {row} has {_length(fields)}, but {len(names)} columns are named")
    twice = next((name for name, count in Counter(names).items() if count > 1 and name in columns.by_name), None)
    if twice is not None:
        raise BadRequest(f"two columns are called {twice!r}")
    places: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    nothing = [None] * len(rows)
    return [
        [row[places[column.name]] for row in rows] if column.name in places else nothing for column in columns.features
    ]


def _by_place(rows: Sequence[Any], columns: Columns) -> list[Sequence[Any]]:
    width = len(columns.features)
    for row, fields in enumerate(rows, 1):
        if not isinstance(fields, list) or len(fields) != width:
            raise BadRequest(f"row {row} has {_length(fields)}; {_what_is_learned_from(columns)}, or name the columns")
    return list(zip(*rows, strict=True))


def _check_names(names: Sequence[str] | Mapping[str, Any], columns: Columns, place: str) -> None:
    unknown = next((name for name in names if name not in columns.by_name and name not in columns.passed_over), None)
    if unknown is not None:
        hint = suggestion(unknown[:LONGEST_COMPARED], columns.by_name)
        raise BadRequest(f"{place}the model has no column {shown(unknown)}; {hint}")


def _length(fields: Any) -> str:
    if not isinstance(fields, list):
        return f"a {type(fields).__name__}"
    return f"{len(fields)} value" + ("s" if len(fields) != 1 else "")


def _what_is_learned_from(columns: Columns) -> str:
    names = listed(column.name for column in columns.features)
    return f"the model takes {len(columns.features)}, in this order: {names}"
