"""Rows as the bodies of requests, and answers as what the rows came in: a frame for a frame, an array for an array.

Called by `Endpoint.predict`. Which form a reader takes best is decided here; how it is written is `verbs.bodies`' part.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.contract import LARGEST_BODY_BYTES
from sagespec.errors import SpecError, WorldError
from sagespec.frames import is_array, is_frame, is_other_table
from sagespec.handles.frames import checked
from sagespec.verbs.answers import Answer
from sagespec.verbs.bodies import CSV, JSON, NPY, Reader, body_of

MOST_BYTES = LARGEST_BODY_BYTES - 64 * 2**10


@dataclass(frozen=True)
class Body:
    """accept: '' where the model is to choose."""

    content: bytes
    content_type: str
    accept: str


def bodies_of(rows: Any, reader: Reader, content_type: str | None = None, accept: str | None = None) -> list[Body]:
    """The requests that carry the rows: several where one would be too large. content_type, accept: other ones than
    suit the reader best. SpecError for what is no rows."""
    if package := is_other_table(rows):
        raise SpecError(f"this is a table of {package}", fix="give a pandas frame: table.to_pandas()")
    if type(rows).__name__ == "Series" and hasattr(rows, "to_frame"):
        raise SpecError("a Series is a row or a column", fix="frame.loc[[label]] is a row, series.to_frame() a column")
    if is_frame(rows):  # an index says which row is whose, and is put on the answer again
        rows = checked(rows.reset_index(drop=True), "the frame")
    elif is_array(rows):
        rows = rows.reshape(1, -1) if rows.ndim == 1 else rows
        if rows.ndim != 2 and reader is not Reader.SCRIPT:
            said = f"an array of {rows.ndim} dimensions is no table"
            raise SpecError(said, fix="give rows and columns: shape (rows, n)")
    elif not isinstance(rows, bytes | bytearray | str | Mapping | list | tuple):
        what = f"{type(rows).__name__} cannot be predicted from"
        raise SpecError(what, fix="give a frame, an array, a list, a dict or bytes")
    best, answers_best = _best_types(rows, reader)
    return _written(rows, reader, content_type or best, answers_best if accept is None else accept)


def _best_types(rows: Any, reader: Reader) -> tuple[str, str]:
    """The content type and the accept that suit the reader best."""
    if isinstance(rows, bytes | bytearray):
        return CSV, ""
    if isinstance(rows, str):
        return CSV, CSV
    if is_frame(rows):
        return (JSON if reader is Reader.SCRIPT else CSV), JSON
    if is_array(rows):
        if reader is Reader.SCRIPT:
            return NPY, NPY
        return (f"{CSV}; header=absent" if reader is Reader.NAMES else CSV), JSON
    return JSON, JSON


def _written(rows: Any, reader: Reader, content_type: str, accept: str) -> list[Body]:
    content, kind = body_of(rows, content_type, lambda: reader)
    if len(content) <= MOST_BYTES or not (is_frame(rows) or is_array(rows)) or len(rows) < 2:
        return [Body(content, kind, accept)]
    half = len(rows) // 2
    parts = (rows.iloc[:half], rows.iloc[half:]) if is_frame(rows) else (rows[:half], rows[half:])
    return [body for part in parts for body in _written(part, reader, content_type, accept)]


def answer_for(rows: Any, answers: Sequence[Answer]) -> Any:
    """The answers to the bodies of `rows`, as what the rows came in."""
    if is_frame(rows):
        return _frame([record for answer in answers for record in _records(answer)], rows)
    if is_array(rows):
        import numpy as np

        return np.concatenate([_array(answer) for answer in answers])
    if isinstance(rows, bytes | bytearray):
        return answers[0].body
    return answers[0].json() if _name(answers[0]) == JSON else answers[0].text


def _name(answer: Answer) -> str:
    return answer.content_type.partition(";")[0].strip().lower()


def _records(answer: Answer) -> list[dict[str, Any]]:
    """A record for each row; its values by the names that the model gives them."""
    if _name(answer) not in (JSON, CSV):
        what = f"the model answers {answer.content_type}, which is no table"
        raise WorldError(what, fix="send bytes: predict(b…) returns what it says")
    rows = answer.rows()
    return [_record([_number(value) for value in row] if answer.is_csv else row) for row in rows]


def _record(row: Any) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    if isinstance(row, list):
        return {"prediction": row[0]} if len(row) == 1 else {str(number): value for number, value in enumerate(row)}
    return {"prediction": row}


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _frame(records: list[dict[str, Any]], rows: Any) -> Any:
    import pandas as pd

    if len(records) != len(rows):
        what = f"the model gave {len(records)} predictions for {len(rows)} rows"
        raise WorldError(what, fix="send bytes: predict(b…) returns what it says")
    return pd.DataFrame(records, index=rows.index)


def _array(answer: Answer) -> Any:
    """The first column of what a frame would give; all of them where they have no names."""
    import numpy as np

    if _name(answer) == NPY:
        return np.atleast_1d(np.load(io.BytesIO(answer.body), allow_pickle=False))
    records = _records(answer)
    if records and all(name.isdigit() for name in records[0]):
        return np.array([list(record.values()) for record in records])
    return np.array([next(iter(record.values())) for record in records])
