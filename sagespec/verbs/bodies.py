"""What is sent to an endpoint: rows of numbers, arrays, data frames and plain data, as bytes that a model reads.

Tables become CSV unless JSON or NPY is asked for. How the columns' names go with them depends on who reads them:
`Reader` says that, and `readers` finds it out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from sagespec.errors import SpecError
from sagespec.frames import csv_of, is_frame

CSV, JSON, JSON_LINES, NPY = "text/csv", "application/json", "application/jsonlines", "application/x-npy"


class Reader(Enum):
    """Who reads a request: a built-in algorithm that knows its columns by name, one that counts them, a framework with
    a script, or a program of the user's own."""

    NAMES = "names"
    NUMBERS = "numbers"
    SCRIPT = "script"
    OWN = "own"

    @property
    def is_builtin(self) -> bool:
        return self in (Reader.NAMES, Reader.NUMBERS)


def body_of(data: Any, content_type: str | None, reader: Callable[[], Reader]) -> tuple[bytes, str]:
    """The bytes to send, and their type. reader: asked where it matters. SpecError for what cannot be sent."""
    match data:
        case bytes() | bytearray() | memoryview():
            return bytes(data), content_type or CSV
        case str():
            looks = JSON if data.lstrip()[:1] in ("{", "[") else CSV
            return data.encode(), content_type or looks
        case Mapping():
            return _dumped(_plain(data)), content_type or JSON
    kind = content_type or (NPY if getattr(data, "ndim", 1) > 2 else CSV)
    if kind == NPY:
        return _npy(data), kind
    if is_frame(data):
        return _of_frame(data, kind, reader)
    rows = _rows(data)
    if all(isinstance(value, str) for value in rows) and reader() is Reader.NAMES:
        rows = [rows]  # one row of categories; to others, each is a text of its own
    if kind.startswith(CSV) and any(isinstance(row, Mapping | str) for row in rows):  # which no CSV can hold
        kind = JSON
    if kind.startswith(CSV):
        return _csv(rows), kind
    if kind.startswith((JSON, JSON_LINES)):
        return _json(rows, kind, reader())
    raise _unwritable(kind)


def _of_frame(frame: Any, kind: str, reader: Callable[[], Reader]) -> tuple[bytes, str]:
    has_names = any(isinstance(name, str) for name in frame.columns)
    if kind.startswith(CSV):
        header = has_names and "header=absent" not in kind and reader() is Reader.NAMES
        kind = f"{CSV}; header=present" if header and ";" not in kind else kind
        return b"".join(csv_of(frame, header=header)), kind
    if not kind.startswith((JSON, JSON_LINES)):
        raise _unwritable(kind)
    known = frame.astype(object).where(frame.notna(), None)  # what is missing is null
    rows = [_plain(list(row)) for row in known.itertuples(index=False, name=None)]
    names = [str(name) for name in frame.columns] if has_names else []
    if names and reader() is Reader.SCRIPT and not kind.startswith(JSON_LINES):
        return _dumped({"dataframe_split": {"columns": names, "data": rows}}), kind
    if names and reader() is Reader.NAMES:
        rows = [dict(zip(names, row, strict=True)) for row in rows]
    return _json(rows, kind, reader())


def _unwritable(kind: str) -> SpecError:
    return SpecError(
        f"rows cannot be written as {kind}",
        why=f"they can be written as {CSV}, {JSON}, {JSON_LINES} and {NPY}",
        fix="pass the body as bytes",
    )


def _rows(data: Any) -> list[Any]:
    """A list of single values is one row."""
    plain = _plain(data)
    if not isinstance(plain, list):
        plain = [plain]
    if not plain:
        raise SpecError("there are no rows to send", fix="send one at least")
    if any(isinstance(row, list | dict) for row in plain) or all(isinstance(value, str) for value in plain):
        return plain
    return [plain]


def _plain(value: Any) -> Any:
    """As Python's own types: of NumPy's values and arrays, and of what holds some; NaN is no JSON, so it is None."""
    match value:
        case str() | None:
            return value
        case float() if value != value:
            return None
        case Mapping():
            return {str(name): _plain(one) for name, one in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_plain(one) for one in value]
    return value


def _csv(rows: Sequence[Any]) -> bytes:
    out = io.StringIO()
    lines = (row if isinstance(row, list) else [row] for row in rows)
    csv.writer(out, lineterminator="\n").writerows([_field(value) for value in line] for line in lines)
    return out.getvalue().encode()


def _field(value: Any) -> Any:
    """Truth is a number; what is missing is left empty."""
    return int(value) if isinstance(value, bool) else value


def _json(rows: Sequence[Any], kind: str, reader: Reader) -> tuple[bytes, str]:
    """Each reader's own form: `instances` of features or of objects with names, or just the rows."""
    items = [{"features": row} if isinstance(row, list) else row for row in rows] if reader.is_builtin else list(rows)
    if kind.startswith(JSON_LINES):
        return b"".join(_dumped(item) + b"\n" for item in items), kind
    return _dumped(_document(items, reader)), kind


def _document(items: Sequence[Any], reader: Reader) -> Any:
    has_names = any(isinstance(item, Mapping) for item in items)
    is_wrapped = reader.is_builtin or (reader is Reader.SCRIPT and has_names)
    return {"instances": list(items)} if is_wrapped else list(items)


def _dumped(document: Any) -> bytes:
    return json.dumps(document, default=_refuse).encode()


def _refuse(value: object) -> Any:
    raise SpecError(f"{type(value).__name__} cannot be written as JSON", fix="give numbers, text, lists and maps")


def _npy(data: Any) -> bytes:
    import numpy

    out = io.BytesIO()
    numpy.save(out, numpy.asarray(data), allow_pickle=False)
    return out.getvalue()
