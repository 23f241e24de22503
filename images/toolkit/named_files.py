"""Files whose columns have names, CSV with a header line and Parquet, in blocks of values as they are written.

CSV is read by Python's own reader, so quoted fields may hold separators and line ends.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from array import array
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, BinaryIO

from toolkit import hints, parquet
from toolkit.rows import BadRow, FloatArray

FIELDS_AT_ONCE = 2**20
BLOCK_BYTES = 2**20
LONGEST_LINE = 2**26
SEPARATORS = ",;\t|"
QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Values:
    """Some rows of a file: the values of each column, and the number of each row. separator: of the fields of text."""

    columns: Sequence[Sequence[Any] | FloatArray]
    numbers: Sequence[int]
    separator: str = ","


def names_in(stream: BinaryIO, *, is_parquet: bool) -> tuple[str, ...]:
    """The names of a file's columns, in their order. Raises BadRow."""
    return parquet.column_names(stream) if is_parquet else _header_of(_CsvRows(stream))


def values_in(stream: BinaryIO, texts: Set[str], *, is_parquet: bool) -> tuple[tuple[str, ...], Iterator[Values]]:
    """The names of a file's columns, and its rows. texts: the columns whose values are wanted as they are written.

    Raises BadRow, here and for each row.
    """
    if is_parquet:
        return parquet.column_names(stream), _parquet_values(stream, texts)
    rows = _CsvRows(stream)
    names = _header_of(rows)
    return names, _csv_values(rows, len(names))


def _parquet_values(stream: BinaryIO, texts: Set[str]) -> Iterator[Values]:
    for number, columns in parquet.read_values(stream, texts, FIELDS_AT_ONCE):
        yield Values(columns, range(number, number + len(columns[0])))


def separator_of(line: str) -> str:
    bare = QUOTED.sub("", line)
    return next((mark for mark in SEPARATORS if mark in bare), ",")


class _CsvRows:
    """The rows of a CSV file that are not blank, each with the number of its first line. Raises BadRow."""

    def __init__(self, stream: BinaryIO) -> None:
        lines = _lines(stream)
        first = next(lines, "")
        blanks = 0
        while first and not first.strip():
            first, blanks = next(lines, ""), blanks + 1
        self._blanks = blanks
        self.separator = separator_of(first)
        self._reader = csv.reader(_chained(first, lines), delimiter=self.separator, skipinitialspace=True, strict=True)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            line = self._blanks + self._reader.line_num + 1
            try:
                row = next(self._reader, None)
            except csv.Error as error:
                raise BadRow(line, f"cannot be read as CSV: {error}; is a quote left open?") from error
            if row is None:
                return
            if len(row) > 1 or (row and row[0].strip()):
                yield line, row


def _chained(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield from (first,) if first else ()
    yield from lines


def _lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a text with their ends, whichever it has. Raises BadRow."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")(), translate=False)
    rest, count = "", 0
    while block := stream.read(BLOCK_BYTES):
        if not count and not rest and (kind := hints.of_file(block)):
            raise BadRow(1, f"the file is {kind}")
        lines = list(io.StringIO(rest + _decoded(decoder, block, count), newline=""))
        rest = lines.pop() if lines else ""
        count += len(lines)
        if len(rest) > LONGEST_LINE:
            raise BadRow(count + 1, f"the line is longer than {LONGEST_LINE} letters")
        yield from lines
    yield from io.StringIO(rest + _decoded(decoder, b"", count), newline="")


def _decoded(decoder: io.IncrementalNewlineDecoder, block: bytes, lines_before: int) -> str:
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        line = lines_before + error.object[: error.start].count(b"\n") + 1
        raise BadRow(line, "the text is not UTF-8; save the file as UTF-8 (Excel: CSV UTF-8)") from error


def _header_of(rows: _CsvRows) -> tuple[str, ...]:
    for _, row in rows:
        return tuple(name.strip() for name in row)
    raise BadRow(1, "the file is empty; its first line must name the columns")


def _csv_values(reader: _CsvRows, width: int) -> Iterator[Values]:
    rows: list[list[str]] = []
    numbers = array("q")
    for line, row in reader:
        if len(row) != width:
            hint = "; put a field that holds the separator in quotes" if len(row) > width else ""
            raise BadRow(line, f"{len(row)} fields, but the header line names {width} columns{hint}")
        rows.append(row)
        numbers.append(line)
        if len(rows) * width >= FIELDS_AT_ONCE:
            yield Values(list(zip(*rows, strict=True)), numbers, reader.separator)
            rows, numbers = [], array("q")
    if rows:
        yield Values(list(zip(*rows, strict=True)), numbers, reader.separator)
