"""Text of rows to float64 arrays: the CSV, libsvm and JSON instances of SageMaker's built-in algorithms.

Training and serving both come here, so that a row means the same to both. The common case takes
a short cut through the JSON parser, several times as fast as any CSV reader; whatever it
does not take is read again line by line, which either succeeds or names the line that is wrong.
"""

from __future__ import annotations

import io
import math
import re
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import ArrayLike, NDArray

from toolkit import libsvm
from toolkit.limits import require_room

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from toolkit.places import Place

FloatArray: TypeAlias = NDArray[np.float64]

NUMBER_CHARACTERS = b"0123456789+-.eE \t\r"
BLOCK_BYTES = 2**20
BYTES_OF_A_FIELD = 180  # at most, while an empty one is read
NAN_FIELD = re.compile(rb"(?i)(?<=[,\n])nan(?=[,\r\n])")
EMPTY_FIELD = re.compile(rb"(?<=[\[,])[ \t\r]*(?=[],])")
BLANKS = re.compile(rb"(?<=[^ \n]) +(?=[^ \r\n])")
TAB = ord("\t")
OTHER_SEPARATORS = b";\t|"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LARGEST_COLUMN = 2**62


class BadRow(ValueError):
    """A line that cannot be read, and why; in which of its fields, if it is one that is wrong."""

    def __init__(self, line_number: int, reason: str, *, field: str = "") -> None:
        super().__init__(f"line {line_number}{field and f', {field}'}: {reason}")
        self.line_number = line_number
        self.reason = reason
        self.field = field

    def at(self, place: Place) -> str:
        """The same for a line of a file."""
        return f"{place.row(self.line_number)}{self.field and f', {self.field}'}: {self.reason}"


def parse_csv(text: bytes, *, first_line: int = 1) -> FloatArray:
    """Rows of numbers, shape (rows, columns), read-only; an empty field is NaN. Raises BadRow.

    The separator is the first line's: a comma, or else a semicolon, a tab, a bar or blanks.
    """
    text = _with_commas(text.removeprefix(BYTE_ORDER_MARK))
    if len(text) <= BLOCK_BYTES:
        return _parse_csv_block(text, first_line)
    parts: list[FloatArray] = []
    for line_number, block in blocks_of_lines(text, first_line):
        rows = _parse_csv_block(block, line_number)
        if parts and rows.size and rows.shape[1] != parts[0].shape[1]:
            raise BadRow(line_number, f"{rows.shape[1]} columns, but the rows before have {parts[0].shape[1]}")
        if rows.size:
            parts.append(rows)
    return np.concatenate(parts) if parts else np.empty((0, 0))


def blocks_of_lines(text: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
    """`text` in blocks of whole lines, each with the number of its first; what is made of one is soon gone again."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + BLOCK_BYTES) + 1 or len(text)
        block = text[start:end]
        yield first_line, block
        first_line, start = first_line + block.count(b"\n"), end


def _parse_csv_block(text: bytes, first_line: int) -> FloatArray:
    if len(text) > 2 * BLOCK_BYTES:  # one long line
        require_room(BYTES_OF_A_FIELD * text.count(b","), "a line's fields")
    trimmed = text.strip()
    if b"n" in trimmed or b"N" in trimmed:
        trimmed = NAN_FIELD.sub(b"", b"\n" + trimmed + b"\n")[1:-1]
    separators = trimmed.translate(None, NUMBER_CHARACTERS)
    row_count = separators.count(b"\n") + 1
    row_separators = separators.partition(b"\n")[0] + b"\n"
    # Equal only if nothing but numbers stands between the commas and all lines have as many of them.
    if row_separators.strip(b",") == b"\n" and separators + b"\n" == row_separators * row_count:
        fields = b"[" + trimmed.replace(b"\n", b",") + b"]"
        with suppress(ValueError):  # "+1", "01": not JSON, though perhaps a number
            return _as_array(_json_or_gaps(fields, row_separators)).reshape(row_count, len(row_separators))
    return _parse_csv_by_line(text, first_line)


def _json_or_gaps(fields: bytes, row_separators: bytes) -> list[float | None]:
    """The numbers of a JSON list, None where it has gaps."""
    try:
        return orjson.loads(fields)  # type: ignore[no-any-return]
    except ValueError:
        if row_separators == b"\n":  # what looks like an empty field is an empty line
            raise
        return orjson.loads(EMPTY_FIELD.sub(b"null", fields))  # type: ignore[no-any-return]


def _as_array(numbers: list[float | None]) -> FloatArray:
    try:
        return np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers))  # twice as fast as numpy, but knows no None
    except struct.error:
        return np.array(numbers, np.float64)


def _with_commas(text: bytes) -> bytes:
    """`text` with commas for the separator that its first line has."""
    line = text.lstrip(b"\r\n").partition(b"\n")[0]
    if b"," in line:
        return text
    # A tab at the end of a line separates nothing.
    separator = next(
        (bytes([mark]) for mark in OTHER_SEPARATORS if mark in (line.rstrip() if mark == TAB else line)), b" "
    )
    if separator == b" ":
        return BLANKS.sub(b",", text) if b" " in line.strip() else text
    return text.replace(separator, b",")


def _parse_csv_by_line(text: bytes, first_line: int) -> FloatArray:
    numbers: array[float] = array("d")
    width = 0
    for line_number, line in enumerate(lines_of(text), first_line):
        if not line.strip():
            continue
        row = [_number(field, line_number, "column", column) for column, field in enumerate(line.split(b","), 1)]
        if numbers and len(row) != width:
            raise BadRow(line_number, f"{len(row)} columns, but the rows before have {width}")
        width = len(row)
        numbers.extend(row)
    return np.array(numbers).reshape(len(numbers) // max(1, width), width)


def lines_of(text: bytes) -> Iterator[bytes]:
    """The lines of `text`, one at a time: a list of 25 million short ones would take a gigabyte."""
    for line in io.BytesIO(text):
        if b"\r" in line:
            yield from line.splitlines()
        else:
            yield line


def _number(field: bytes, line_number: int, noun: str, number: int | None = None) -> float:
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
        raise BadRow(
            line_number, f"{shown!r} is not a number{hint}", field=noun if number is None else f"{noun} {number}"
        ) from None


@dataclass
class SparseRows:
    """Sparse rows as they are read; `dense` or `csr` makes the array once all are in.

    Columns are counted from 0; libsvm's are taken as written, as XGBoost reads them.
    """

    labels: array[float] = field(default_factory=lambda: array("d"))
    lengths: array[int] = field(default_factory=lambda: array("q"))  # entries of each row
    columns: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    weights: array[float] = field(default_factory=lambda: array("d"))  # of the rows; empty if they have none
    declared_width: int = 0

    @property
    def width(self) -> int:
        return max(self.declared_width, int(np.max(self.columns, initial=-1)) + 1)

    def row_of(self, entry: int) -> int:
        """The row that the entry with this number is in."""
        return int(np.searchsorted(np.cumsum(self.lengths), entry, side="right"))

    def add_row(self, columns: ArrayLike, values: ArrayLike, width: int = 0) -> None:
        """Append a row without its label; `width` is the width it declares, 0 for none."""
        columns, values = np.asarray(columns, np.int64), np.asarray(values, np.float64)
        self.lengths.append(len(columns))
        self.columns.frombytes(columns.tobytes())
        self.values.frombytes(values.tobytes())
        self.declared_width = max(self.declared_width, width)

    def moved_down(self) -> None:
        """Count columns from 0 that were counted from 1."""
        self.columns = array("q", (np.array(self.columns) - 1).tobytes())

    def extend(self, more: SparseRows) -> None:
        """Append the rows of `more`."""
        self.labels.extend(more.labels)
        self.lengths.extend(more.lengths)
        self.columns.extend(more.columns)
        self.values.extend(more.values)
        self.weights.extend(more.weights)
        self.declared_width = max(self.declared_width, more.declared_width)

    def add_libsvm(self, text: bytes, *, labelled: bool, weighted: bool = False, first_line: int = 1) -> None:
        """Append the rows of `text`. Raises BadRow. In a request (not `labelled`) a label may be left out.

        weighted: the label may be followed by the row's weight, `label:weight`.
        """
        for line_number, block in blocks_of_lines(text.removeprefix(BYTE_ORDER_MARK), first_line):
            found = libsvm.entries(block)
            if found is None or (labelled and np.isnan(found.labels).any()):
                self._add_libsvm_by_line(block, line_number, labelled=labelled, weighted=weighted)
                continue
            self.labels.frombytes(found.labels.tobytes())
            self.lengths.frombytes(found.lengths.tobytes())
            self.columns.frombytes(found.columns.tobytes())
            self.values.frombytes(found.values.tobytes())

    def _add_libsvm_by_line(self, text: bytes, first_line: int, *, labelled: bool, weighted: bool = False) -> None:
        for line_number, line in enumerate(lines_of(text), first_line):
            tokens = line.partition(b"#")[0].split()
            if not tokens:
                continue
            has_label = labelled or b":" not in tokens[0]
            if has_label:
                self._add_libsvm_label(tokens.pop(0), line_number, weighted=weighted)
            else:
                self.labels.append(math.nan)
            for token in tokens:
                self._add_libsvm_value(token, line_number)
            self.lengths.append(len(tokens))

    def _add_libsvm_label(self, token: bytes, line_number: int, *, weighted: bool) -> None:
        label, colon, weight = token.partition(b":")
        if colon and not weighted:
            raise BadRow(line_number, f"starts with {token.decode('utf-8', 'replace')[:40]!r}, not with a label")
        if (b":" in weight) or (len(self.labels) and bool(self.weights) != bool(colon)):
            raise BadRow(line_number, "some rows have a weight, label:weight, some have none")
        self.labels.append(_number(label, line_number, "label"))
        if colon:
            self.weights.append(_number(weight, line_number, "weight"))

    def _add_libsvm_value(self, token: bytes, line_number: int) -> None:
        index, colon, value = token.partition(b":")
        if not colon or not index.isdigit():
            raise BadRow(line_number, f"{token.decode('utf-8', 'replace')[:40]!r} is not index:value")
        if len(index) > len(str(LARGEST_COLUMN)) or int(index) > LARGEST_COLUMN:
            raise BadRow(line_number, f"index {index.decode()[:40]} is more than {LARGEST_COLUMN}")
        self.columns.append(int(index))
        if not value:
            raise BadRow(line_number, f"{token.decode()[:40]!r} has no value after the colon")
        self.values.append(_number(value, line_number, "index", int(index)))

    def dense(self, *, width: int, absent: float) -> FloatArray:
        """Shape (rows, width); what the rows leave out is `absent`. Raises TooLarge."""
        require_room(len(self.lengths) * width * 8, f"{len(self.lengths)} sparse rows of {width} columns, made dense,")
        rows = np.full((len(self.lengths), width), absent)
        rows[np.repeat(np.arange(len(self.lengths)), self.lengths), self.columns] = self.values
        return rows

    def csr(self, *, width: int) -> csr_array:
        """The same as a sparse array of scipy. Raises ValueError if a row has a column twice."""
        from scipy.sparse import csr_array

        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        rows = csr_array((np.array(self.values), np.array(self.columns), starts), shape=(len(self.lengths), width))
        if not rows.has_sorted_indices:
            rows.sort_indices()
        if not rows.has_canonical_format:
            raise ValueError("a row has the same index twice")
        return rows


def features_of(instance: Any) -> list[Any] | dict[str, Any]:
    """The row of one JSON instance in any of its spellings: its values, or as a dict those with keys and shape.

    Spellings are `[...]`, `{"features": [...]}` and `{"data": {"features": {"values": [...]}}}`. Raises ValueError.
    """
    features = instance.get("features") if isinstance(instance, dict) else instance
    if features is None and isinstance(instance, dict) and isinstance(instance.get("data"), dict):
        features = instance["data"].get("features")
    if isinstance(features, dict):
        features = features if "keys" in features else features.get("values")
    if not isinstance(features, list | dict):
        raise ValueError('an instance is {"features": [...]} or {"data": {"features": {"values": [...]}}}')
    return features


def numbers_of(values: list[Any]) -> list[Any]:
    """`values`, if none of them is text: numpy would take "1" for a number, and "nan" and "1_000" too."""
    if str in set(map(type, values)):
        text = next(value for value in values if isinstance(value, str))
        raise ValueError(f"{text[:40]!r} is text, not a number")
    return values


def label_of(instance: Any) -> float | None:
    """The label of one JSON instance: `"label": 1` or `"label": {"values": [1]}`, None without. Raises ValueError."""
    if not isinstance(instance, dict):
        return None
    label = instance.get("label")
    if label is None and isinstance(instance.get("data"), dict):
        label = instance["data"].get("label")
    if isinstance(label, dict):
        label = label.get("values")
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if label is not None and not isinstance(label, int | float):
        raise ValueError('a label is one number, as in {"label": 1, "features": [...]}')
    return label


def sparse_entries(features: dict[str, Any]) -> tuple[NDArray[np.int64], FloatArray, int]:
    """Columns, values and width of a sparse JSON instance. Raises ValueError."""
    try:
        columns = np.array(features["keys"], np.int64)
        values = np.array(numbers_of(features["values"]), np.float64)
        width = int(features["shape"][-1])
        if columns.shape != values.shape or columns.ndim != 1 or not 0 <= width <= LARGEST_COLUMN:
            raise ValueError
        if len(columns) and not 0 <= columns.min() <= columns.max() < width:
            raise ValueError
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise ValueError("a sparse instance needs keys, values and shape that fit together") from None
    return columns, values, width
