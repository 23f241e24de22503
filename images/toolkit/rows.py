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
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import orjson
from numpy.typing import ArrayLike, NDArray

from toolkit import libsvm
from toolkit.hints import of_field as hint_of_field
from toolkit.limits import require_room
from toolkit.quotes import fields_of, without_quoted
from toolkit.spellings import is_number

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
QUERY = re.compile(rb"qid:\d+")
LARGEST_COLUMN = 2**62
DOUBLED = "a row has the same index twice"
SOME_WEIGHTS = "some rows have a weight, label:weight, some have none"


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
    text = text.removeprefix(BYTE_ORDER_MARK)
    parse, separator = _parse_csv_block, separator_of(text)
    if b'"' in text:
        parse = _parse_csv_by_line
    else:
        text, separator = _with_commas(text, separator), b","
        if len(text) <= BLOCK_BYTES:
            return _parse_csv_block(text, first_line)
    parts: list[FloatArray] = []
    for line_number, block in blocks_of_lines(text, first_line):
        rows = parse(block, line_number, separator)
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


def _parse_csv_block(text: bytes, first_line: int, separator: bytes = b",") -> FloatArray:
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
    return _parse_csv_by_line(text, first_line, separator)


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


def separator_of(text: bytes) -> bytes:
    """What stands between the fields of the first line: a comma, or else one of the others, or else blanks."""
    line = text.lstrip(b"\r\n").partition(b"\n")[0]
    if b'"' in line:
        line = without_quoted(line)
    if b"," in line:
        return b","
    # A tab at the end of a line separates nothing.
    marks = (mark for mark in OTHER_SEPARATORS if mark in (line.rstrip() if mark == TAB else line))
    return next((bytes([mark]) for mark in marks), b" ")


def _with_commas(text: bytes, separator: bytes) -> bytes:
    if separator == b",":
        return text
    return BLANKS.sub(b",", text) if separator == b" " else text.replace(separator, b",")


def _parse_csv_by_line(text: bytes, first_line: int, separator: bytes = b",") -> FloatArray:
    numbers: array[float] = array("d")
    width = 0
    for line_number, line in enumerate(lines_of(text), first_line):
        if not line.strip():
            continue
        row = _numbers_in(line, line_number, separator, text if not numbers and first_line == 1 else b"")
        if numbers and len(row) != width:
            raise BadRow(line_number, f"{len(row)} columns, but the rows before have {width}")
        width = len(row)
        numbers.extend(row)
    return np.array(numbers).reshape(len(numbers) // max(1, width), width)


def _numbers_in(line: bytes, line_number: int, separator: bytes, text: bytes) -> list[float]:
    """The fields of a line as numbers. text: if it is the first line of a file, all that follows from it on."""
    try:
        fields = fields_of(line, separator)
    except ValueError as error:
        raise BadRow(line_number, str(error)) from None
    try:
        return [number_of(field) for field in fields]
    except ValueError:
        column = next(number for number, field in enumerate(fields) if field.strip() and not is_number(field))
    second: list[bytes] = []
    if text:
        following = (other for other in islice(lines_of(text), 100) if other.strip() and other != line)
        with suppress(ValueError, StopIteration):
            second = fields_of(next(following), separator)
    hint = hint_of_field(fields[column], fields if text else (), second)
    raise BadRow(line_number, f"{_shown(fields[column])} is not a number{hint}", field=f"column {column + 1}")


def lines_of(text: bytes) -> Iterator[bytes]:
    """The lines of `text`, one at a time: a list of 25 million short ones would take a gigabyte."""
    for line in io.BytesIO(text):
        if b"\r" in line:
            yield from line.splitlines()
        else:
            yield line


def number_of(field: bytes) -> float:
    """The number in a field, NaN for an empty one. Raises ValueError."""
    text = field.strip()
    if not text:
        return math.nan
    if b"_" in text:  # Python reads 1_000 as a number, nobody else does
        raise ValueError
    return float(text)


def _number(text: bytes, line_number: int, noun: str, index: bytes = b"") -> float:
    """A number of libsvm. Raises BadRow."""
    try:
        return number_of(text)
    except ValueError:
        field = f"{noun} {index.decode()}".strip()
        raise BadRow(line_number, f"{_shown(text)} is not a number", field=field) from None


def _shown(field: bytes) -> str:
    return repr(field.decode("utf-8", "replace").strip()[:40])


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
    has_groups: bool = False  # qid:n stood behind labels

    @property
    def width(self) -> int:
        return max(self.declared_width, int(np.max(self.columns, initial=-1)) + 1)

    def row_of(self, entry: int) -> int:
        """The row that the entry with this number is in."""
        return int(np.searchsorted(np.cumsum(self.lengths), entry, side="right"))

    def doubled(self) -> int | None:
        """The entry with the same column as another of its row; None if there is none."""
        columns, lengths = np.frombuffer(self.columns, np.int64), np.frombuffer(self.lengths, np.int64)
        rises = np.diff(columns) > 0
        ends = np.cumsum(lengths)[:-1] - 1
        rises[ends[(ends >= 0) & (ends < len(rises))]] = True
        if rises.all():
            return None
        rows = np.repeat(np.arange(len(lengths)), lengths)
        order = np.lexsort((columns, rows))
        same = (np.diff(columns[order]) == 0) & (np.diff(rows[order]) == 0)
        return int(order[1:][same][0]) if same.any() else None

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
        self.has_groups |= more.has_groups
        self.declared_width = max(self.declared_width, more.declared_width)

    def add_libsvm(self, text: bytes, *, labelled: bool, weighted: bool = False, first_line: int = 1) -> None:
        """Append the rows of `text`. Raises BadRow. In a request (not `labelled`) a label may be left out.

        weighted: the label may be followed by the row's weight, `label:weight`, and by a group for ranking, `qid:n`.
        """
        for line_number, block in blocks_of_lines(text.removeprefix(BYTE_ORDER_MARK), first_line):
            found = libsvm.entries(block)
            if found is None or (labelled and np.isnan(found.labels).any()):
                self._add_libsvm_by_line(block, line_number, labelled=labelled, weighted=weighted)
                continue
            if self.weights:
                raise BadRow(line_number, SOME_WEIGHTS)
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
                self._add_libsvm_label(tokens.pop(0), line_number, rest=tokens, weighted=weighted)
                if weighted and tokens and QUERY.fullmatch(tokens[0]):
                    self.has_groups = bool(tokens.pop(0))
            else:
                self.labels.append(math.nan)
            for token in tokens:
                self._add_libsvm_value(token, line_number)
            self.lengths.append(len(tokens))

    def _add_libsvm_label(self, token: bytes, line_number: int, *, rest: list[bytes], weighted: bool) -> None:
        label, colon, weight = token.partition(b":")
        if colon and not weighted:
            raise BadRow(line_number, f"starts with {_shown(token)}, not with a label; weights are not used here")
        if (b":" in weight) or (len(self.labels) and bool(self.weights) != bool(colon)):
            raise BadRow(line_number, SOME_WEIGHTS)
        if b"," in label:
            looks = "a row has one label here" if rest else "this looks like CSV, not like label index:value"
            raise BadRow(line_number, f"{_shown(label)} is not one number; {looks}", field="label")
        self.labels.append(_number(label, line_number, "label"))
        if colon:
            self.weights.append(_number(weight, line_number, "weight"))

    def _add_libsvm_value(self, token: bytes, line_number: int) -> None:
        index, colon, value = token.partition(b":")
        if index == b"qid":
            raise BadRow(line_number, f"{_shown(token)} groups rows for ranking, which is not done here; leave it out")
        if not colon or not index.isdigit():
            raise BadRow(line_number, f"{_shown(token)} is not index:value")
        if len(index) > len(str(LARGEST_COLUMN)) or int(index) > LARGEST_COLUMN:
            raise BadRow(line_number, f"index {index.decode()[:40]} is more than {LARGEST_COLUMN}")
        self.columns.append(int(index))
        if not value:
            raise BadRow(line_number, f"{_shown(token)} has no value after the colon")
        self.values.append(_number(value, line_number, "index", index))

    def dense(self, *, width: int, absent: float) -> FloatArray:
        """Shape (rows, width); what the rows leave out is `absent`. Raises TooLarge, or ValueError as `csr` does."""
        if self.doubled() is not None:
            raise ValueError(DOUBLED)
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
            raise ValueError(DOUBLED)
        return rows
