"""Text of rows to float64 arrays: the CSV and libsvm of SageMaker's built-in algorithms.

Training and serving both come here, so that a row means the same to both. The common case takes
a short cut through the JSON parser, several times as fast as any CSV reader; whatever it
does not take is read again line by line, which either succeeds or names the line that is wrong.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

NUMBER_CHARACTERS = b"0123456789+-.eE \t\r"
LARGEST_DENSE_BYTES = 16 * 2**30


class BadRow(ValueError):
    """A line that cannot be read, and why."""

    def __init__(self, line_number: int, reason: str) -> None:
        super().__init__(f"line {line_number}: {reason}")
        self.line_number = line_number
        self.reason = reason


def parse_csv(text: bytes, *, first_line: int = 1) -> FloatArray:
    """Rows of numbers, shape (rows, columns), read-only; an empty field is NaN. Raises BadRow."""
    trimmed = text.strip()
    separators = trimmed.translate(None, NUMBER_CHARACTERS)
    row_count = separators.count(b"\n") + 1
    row_separators = separators.partition(b"\n")[0] + b"\n"
    # Equal only if nothing but numbers stands between the commas and all lines have as many of them.
    if row_separators.strip(b",") == b"\n" and separators + b"\n" == row_separators * row_count:
        try:
            numbers = orjson.loads(b"[" + trimmed.replace(b"\n", b",") + b"]")
            return np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers)).reshape(row_count, len(row_separators))
        except ValueError:  # an empty field, "+1", "01": not JSON, though perhaps a number
            pass
    return _parse_csv_by_line(text, first_line)


def _parse_csv_by_line(text: bytes, first_line: int) -> FloatArray:
    rows: list[list[float]] = []
    for line_number, line in enumerate(text.splitlines(), first_line):
        if not line.strip():
            continue
        row = [_number(field, line_number, column) for column, field in enumerate(line.split(b","), 1)]
        if rows and len(row) != len(rows[0]):
            raise BadRow(line_number, f"{len(row)} columns, but the rows before have {len(rows[0])}")
        rows.append(row)
    return np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 0)


def _number(field: bytes, line_number: int, column: int) -> float:
    text = field.strip().strip(b'"').strip()
    if not text:
        return math.nan
    try:
        if b"_" in text:  # Python reads 1_000 as a number, nobody else does
            raise ValueError
        return float(text)
    except ValueError:
        shown = field.decode("utf-8", "replace").strip()[:40]
        hint = "; a header line? CSV has none here" if line_number == 1 else ""
        raise BadRow(line_number, f"column {column}: {shown!r} is not a number{hint}") from None


@dataclass
class SparseRows:
    """Rows of libsvm text as they are read; `dense` makes the array once all are in.

    Indices are columns as written, counted from 0, as XGBoost reads them.
    """

    labels: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(self.columns, default=-1) + 1

    def add(self, text: bytes, *, labelled: bool, first_line: int = 1) -> None:
        """Append the rows of `text`. Raises BadRow. In a request (not `labelled`) a label may be left out."""
        for line_number, line in enumerate(text.splitlines(), first_line):
            tokens = line.partition(b"#")[0].split()
            if not tokens:
                continue
            has_label = b":" not in tokens[0]
            if labelled and not has_label:
                raise BadRow(line_number, f"starts with {tokens[0].decode('utf-8', 'replace')!r}, not with a label")
            label = _number(tokens[0], line_number, 1) if has_label else math.nan
            self.labels.append(label)
            for token in tokens[1:] if has_label else tokens:
                self._add_value(token, line_number)

    def _add_value(self, token: bytes, line_number: int) -> None:
        index, colon, value = token.partition(b":")
        if not colon or not index.isdigit():
            raise BadRow(line_number, f"{token.decode('utf-8', 'replace')!r} is not index:value")
        self.rows.append(len(self.labels) - 1)
        self.columns.append(int(index))
        self.values.append(_number(value, line_number, int(index)))

    def dense(self, *, width: int, absent: float) -> FloatArray:
        """Shape (rows, width); what the text leaves out is `absent`."""
        if len(self.labels) * width * 8 > LARGEST_DENSE_BYTES:
            raise ValueError(f"{len(self.labels)} rows of {width} columns do not fit in memory as a dense array")
        rows = np.full((len(self.labels), width), absent)
        rows[self.rows, self.columns] = self.values
        return rows
