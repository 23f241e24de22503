"""The short way for what most requests to a framework's server are: a table of numbers in, an array of numbers out.

`codecs` says what bodies mean. Here its commonest case is read and written several times as fast, to the same arrays
and texts; None means that a body or an answer is anything else, and has to go the long way.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

BLOCK_NUMBERS = 2**17
WRAPPED_OTHERWISE = ("dataframe_split", "dataframe_records")
BEYOND_INTEGERS = 2.0**63  # from here on orjson has floats for what json reads as long integers


def table_of_json(body: bytes) -> NDArray[Any] | None:
    """The numbers of `[[…], …]`, also under "inputs" or "instances", where a row may be {"features": […]}."""
    try:
        document = orjson.loads(body)
        return _table(document if isinstance(document, list) else _rows_in(document))
    except (ValueError, LookupError, TypeError, struct.error):
        return None


def _rows_in(document: Any) -> list[Any]:
    """What `wrapped_json` finds, if it is lists. LookupError or TypeError for what it reads otherwise."""
    if not isinstance(document, dict) or not document.keys().isdisjoint(WRAPPED_OTHERWISE):
        raise TypeError
    if "instances" not in document:
        return document["inputs"]  # type: ignore[no-any-return]
    instances: list[Any] = document["instances"]
    return [instance["features"] for instance in instances] if type(instances[0]) is dict else instances


def _table(rows: list[Any]) -> NDArray[Any] | None:
    """Integers as such, and float64 if any is none, as numpy makes it of lists."""
    if set(map(type, rows)) != {list} or len(set(map(len, rows))) != 1:
        return None
    if float not in map(type, chain.from_iterable(rows)):
        return np.array(rows) if set(map(type, chain.from_iterable(rows))) == {int} else None
    width = len(rows[0])
    table = np.empty((len(rows), width))
    count = max(1, BLOCK_NUMBERS // width)
    for start in range(0, len(rows), count):
        numbers = [*chain.from_iterable(rows[start : start + count])]
        packed = struct.pack(f"{len(numbers)}d", *numbers)  # sooner than numpy; an error for what is no number
        table[start : start + count] = np.frombuffer(packed).reshape(-1, width)
    return table if max(-table.min(), table.max()) < BEYOND_INTEGERS else None


def as_json(prediction: Any) -> bytes | None:
    """Lists, without blanks between."""
    if type(prediction) is not np.ndarray or prediction.dtype.kind not in "iufb" or prediction.dtype.itemsize > 8:
        return None
    if prediction.dtype.kind == "f" and not np.isfinite(prediction).all():
        return None  # JSON has no word for them, though Python's json writes NaN
    return orjson.dumps(prediction.tolist())


def as_csv(prediction: Any) -> bytes | None:
    """A line a row, numbers as Python writes them."""
    if type(prediction) is not np.ndarray or not prediction.size or prediction.ndim not in (1, 2):
        return None
    if prediction.dtype.kind not in "iubU" and prediction.dtype != np.float64:
        return None
    rows = prediction.tolist()
    if prediction.ndim == 1 and prediction.dtype.kind in "iu":
        return orjson.dumps(rows)[1:-1].replace(b",", b"\n") + b"\n"
    lines = map(str, rows) if prediction.ndim == 1 else (",".join(map(str, row)) for row in rows)
    return ("\n".join(lines) + "\n").encode()
