"""The rows of one file, block by block, in each format that SageMaker's algorithms train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

import numpy as np
import orjson

from toolkit import hints, recordio
from toolkit.instances import features_of, label_of, numbers_of, sparse_entries
from toolkit.rows import BYTE_ORDER_MARK, BadRow, FloatArray, SparseRows, lines_of, parse_csv

BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Layout:
    """How the columns of a channel's files are to be taken.

    names: of all columns that are data, the label's first, where a format has names; in the order of the first file.
    """

    label_size: int = 1
    has_weights: bool = False  # the column after the label's is the row's weight
    takes_weights: bool = False  # label:weight of libsvm may be used
    names: tuple[str, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        return self.names and self.names[self.before_features :]

    @property
    def before_features(self) -> int:
        """How many columns stand before the first feature."""
        return self.label_size + self.has_weights


@dataclass(frozen=True)
class Block:
    """Rows that follow one another in a file. labels and weights: shape (rows,), or None.

    line_of: the line of a row, where not each line is a row.
    """

    first_row: int
    labels: FloatArray | None
    features: FloatArray | SparseRows
    weights: FloatArray | None = None
    line_of: Callable[[int], int] | None = None

    def number_of(self, row: int) -> int:
        """The number in its file of a row of the block, which counts from 0."""
        return self.line_of(row) if self.line_of else self.first_row + row


Read = Callable[[BinaryIO, Layout], Iterator[Block]]  # raises BadRow, BadRecord or TooLarge


@dataclass(frozen=True)
class FileFormat:
    """How the files of a content type are read, and how a row and a field of theirs are named in a message.

    names: the columns of a file, where the format has names for them.
    """

    read: Read
    before_row: str = ":"
    noun: str = "feature"
    is_table: bool = False  # the label is the first column
    is_text: bool = False
    names: Callable[[BinaryIO], tuple[str, ...]] | None = None


def label_first(first_row: int, rows: FloatArray, layout: Layout) -> Block:
    """Rows of columns, of which the first may be the label, and the next the weight."""
    label = rows[:, 0] if layout.label_size else None
    weights = rows[:, layout.label_size] if layout.has_weights and rows.shape[1] > layout.label_size else None
    return Block(first_row, label, rows[:, layout.before_features :], weights)


def _line_finder(text: bytes, first_line: int, comment: bytes = b"") -> Callable[[int], int]:
    """Which line of the text a row of it is: not all lines are rows."""

    def line_of(row: int) -> int:
        lines = enumerate(lines_of(text), first_line)
        rows = (number for number, line in lines if (line.partition(comment)[0] if comment else line).strip())
        return next(islice(rows, row, None), first_line + row)

    return line_of


def read_csv(stream: BinaryIO, layout: Layout) -> Iterator[Block]:
    for first_line, text in _text_blocks(stream):
        rows = parse_csv(text, first_line=first_line)
        if rows.size:
            yield replace(label_first(first_line, rows, layout), line_of=_line_finder(text, first_line))


def read_libsvm(stream: BinaryIO, layout: Layout) -> Iterator[Block]:
    for first_line, text in _text_blocks(stream):
        rows = SparseRows()
        rows.add_libsvm(text, labelled=True, weighted=layout.takes_weights, first_line=first_line)
        weights = np.array(rows.weights) if rows.weights else None
        yield Block(first_line, np.array(rows.labels), rows, weights, _line_finder(text, first_line, b"#"))


def read_json_lines(stream: BinaryIO, _layout: Layout) -> Iterator[Block]:
    for first_line, text in _text_blocks(stream):
        instances = {number: line for number, line in enumerate(text.splitlines(), first_line) if line.strip()}
        if instances:
            yield _instances(first_line, instances)


def _instances(first_line: int, lines: Mapping[int, bytes]) -> Block:
    """The instances by line number. Raises BadRow."""
    sparse, dense, labels = SparseRows(), [], []
    for number, line in lines.items():
        try:
            instance = orjson.loads(line)
            features = features_of(instance)
            labels.append(label_of(instance))
            if isinstance(features, dict):
                sparse.add_row(*sparse_entries(features))
            else:
                dense.append(numbers_of(features))
                if dense[-1].shape != dense[0].shape or dense[-1].ndim != 1:
                    raise ValueError(f"{len(features)} features, but the rows before have {len(dense[0])}")
            if dense and sparse.lengths:
                raise ValueError("some rows are dense, some are sparse")
            if (labels[-1] is None) != (labels[0] is None):
                raise ValueError("some rows have a label, some have none")
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadRow(number, f"not an instance as expected: {error}{hints.of_json(line)}") from error
    features_of_all = sparse if sparse.lengths else np.array(dense)
    line_of = list(lines).__getitem__
    return Block(
        first_line, None if labels[0] is None else np.array(labels, np.float64), features_of_all, None, line_of
    )


def read_recordio(stream: BinaryIO, _layout: Layout) -> Iterator[Block]:
    number, rest = 1, b""
    while data := stream.read(BLOCK_BYTES):
        data = rest + data
        records, end = recordio.split(data, number)
        if records:
            yield Block(number, *recordio.rows_of(records, number))
        number, rest = number + len(records), data[end:]
    if rest:
        raise recordio.BadRecord(number, "ends too early")


def _text_blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The stream in blocks of whole lines, each with the number of its first line."""
    line_number, rest = 1, b""
    text = stream.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
    while text:
        text = rest + text
        end = text.rfind(b"\n") + 1
        if end:
            yield line_number, text[:end]
            line_number += text.count(b"\n", 0, end)
        rest, text = text[end:], stream.read(BLOCK_BYTES)
    if rest:
        yield line_number, rest
