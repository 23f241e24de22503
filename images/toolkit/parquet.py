"""Parquet files: columns are taken by name, and those that pandas keeps for its index are left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from toolkit import hints
from toolkit.blocks import Block, Layout, label_first
from toolkit.rows import BadRow, FloatArray

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, Schema

INDEX_NAME = re.compile(r"__index_level_\d+__")  # pandas' own for an index without a name
MAGIC = b"PAR1"
SHOWN_NAMES = 20
ROWS_AT_ONCE = 2**16


def column_names(stream: BinaryIO) -> tuple[str, ...]:
    """The columns that hold data, in the order of the file. Raises BadRow."""
    schema = _opened(stream).schema_arrow
    names = [name for name in schema.names if name not in _index_columns(schema)]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise BadRow(1, f"two columns are named {doubled!r}")
    return tuple(names)


def index_names(stream: BinaryIO) -> tuple[str, ...]:
    """The columns that pandas keeps for its index."""
    stream.seek(0)
    return tuple(sorted(_index_columns(_opened(stream).schema_arrow)))


def read_parquet(stream: BinaryIO, layout: Layout) -> Iterator[Block]:
    """The rows, with their columns in the order of `layout`. Raises BadRow."""
    own = column_names(stream)
    names = layout.names or own
    if sorted(own) != sorted(names):
        raise BadRow(1, f"its columns are {shown(own)}, but those of the first file are {shown(names)}")
    stream.seek(0)
    file = _opened(stream)
    for name in names:
        _check_kind(name, file.schema_arrow.field(name).type)
    number = 1
    for batch in _batches(file, names):
        columns = [_numbers(batch.column(name), name, names.index(name), number) for name in names]
        if columns and len(columns[0]):
            yield label_first(number, np.column_stack(columns), layout)
        number += batch.num_rows
    if number - 1 != file.metadata.num_rows:
        raise BadRow(number, f"ends here, but the file's own count is {file.metadata.num_rows} rows")


def read_values(stream: BinaryIO, texts: Set[str], values_at_once: int) -> Iterator[tuple[int, list[Any]]]:
    """The number of the first of some rows, and the values of their columns in the file's order: numbers as an array,
    all others, and those of the columns `texts`, as they are. Raises BadRow."""
    names = column_names(stream)
    stream.seek(0)
    number = 1
    for batch in _batches(_opened(stream), names, max(1, values_at_once // max(1, len(names)))):
        if batch.num_rows:
            yield number, [_values(batch.column(n), n, names.index(n), number, texts) for n in names]
        number += batch.num_rows


def _values(column: ChunkedArray, name: str, place: int, first_row: int, texts: Set[str]) -> Any:
    if name not in texts and _holds_numbers(column.type):
        return _numbers(column, name, place, first_row)
    try:
        return column.to_pylist()
    except (ValueError, OverflowError) as error:  # damaged text, a date that Python cannot hold
        raise BadRow(first_row, f"cannot be read: {error}", field=f"column {place + 1} ({name})") from error


def shown(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def _opened(stream: BinaryIO) -> Any:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(stream)
    except Exception as error:
        stream.seek(0)
        head = stream.read(hints.BYTES_LOOKED_AT)
        kind = (hints.of_file(head) or "text; say content_type: text/csv") if head else "empty"
        if head.startswith(MAGIC) or kind == hints.NOT_TEXT:
            raise _damage(1, error) from error
        raise BadRow(1, f"not a Parquet file, but {kind}") from error


def _batches(file: Any, names: tuple[str, ...], rows_at_once: int = ROWS_AT_ONCE) -> Iterator[Any]:
    number, batches = 1, file.iter_batches(rows_at_once, columns=list(names))
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:
            raise _damage(number, error) from error
        if batch is None:
            return
        yield batch
        number += batch.num_rows


def _damage(row: int, error: Exception) -> BadRow:
    """Damage shows as any of a dozen kinds, a UnicodeDecodeError in a name among them."""
    return BadRow(row, f"not a Parquet file that can be read: {type(error).__name__}: {error}")


def _index_columns(schema: Schema) -> set[str]:
    """What pandas says that it keeps for the index; a range is kept as a description, without a column."""
    unnamed = {name for name in schema.names if INDEX_NAME.fullmatch(name)}
    try:
        described = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        return unnamed | {entry for entry in described if isinstance(entry, str)}
    except (KeyError, TypeError, ValueError):  # not written by pandas
        return unnamed


def _check_kind(name: str, kind: Any) -> None:
    if not _holds_numbers(kind):
        raise BadRow(1, f"column {name!r} holds {_values_of(kind)}, not numbers")


def _values_of(kind: Any) -> Any:
    from pyarrow import types

    return kind.value_type if types.is_dictionary(kind) else kind


def _holds_numbers(kind: Any) -> bool:
    from pyarrow import types

    values = _values_of(kind)
    are_numbers = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(is_kind(values) for is_kind in are_numbers)


def _numbers(column: ChunkedArray, name: str, place: int, first_row: int) -> FloatArray:
    """Raises BadRow for whole numbers that float64 cannot tell apart."""
    from pyarrow import ArrowException, types

    try:
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        numbers: FloatArray = column.cast("float64").to_numpy(zero_copy_only=False)
    except (ArrowException, ValueError, OverflowError) as error:
        raise BadRow(
            first_row, f"holds {column.type} that float64 cannot hold: {error}", field=f"column {place + 1} ({name})"
        ) from error
    return numbers
