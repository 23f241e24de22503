"""A job's channels as arrays: labels and features, of one width on all channels and hosts.

Every format that SageMaker's algorithms train on is read here, from files or from a pipe: CSV,
libsvm, JSON lines, RecordIO-protobuf and Parquet.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import orjson

from toolkit import recordio
from toolkit.errors import ClientError
from toolkit.hosts import Hosts, T
from toolkit.limits import TooLarge
from toolkit.media import CSV, JSON_LINES, LIBSVM, PARQUET, RECORDIO, MediaType, media_type
from toolkit.rows import (
    BYTE_ORDER_MARK,
    BadRow,
    FloatArray,
    SparseRows,
    features_of,
    label_of,
    parse_csv,
    sparse_entries,
)
from toolkit.training import Channel, Job

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK_BYTES = 8 * 2**20

# Labels of shape (rows,), or None, and the rows' features.
Rows: TypeAlias = tuple[FloatArray | None, FloatArray | SparseRows]


@dataclass(frozen=True)
class Table:
    """One host's part of a channel: labels of shape (rows,), features of shape (rows, width).

    A channel without labels (`text/csv;label_size=0`, records that have none) has labels of shape
    (0,). Features are a sparse array only if `InputFormat.keep_sparse` asks for it.
    """

    labels: FloatArray
    features: FloatArray | csr_array


@dataclass(frozen=True)
class InputFormat:
    """How an algorithm reads its channels."""

    default_type: str = CSV  # of a channel without a content type
    absent: float = 0.0  # what a sparse row leaves out
    allow_missing: bool = False  # empty CSV fields, nulls, become NaN
    needs_labels: bool = True
    keep_sparse: bool = False  # sparse rows stay a csr_array; what they leave out is then not filled in


def load_tables(
    job: Job[Any], channel_names: Sequence[str], input_format: InputFormat, *, feature_dim: int | None = None
) -> dict[str, Table]:
    """Those of `channel_names` that the job has, the first of them required.

    `feature_dim` is the number of features, if a hyperparameter gives it. A host may have no rows (fewer files than
    hosts), but not all of them. A channel of which every host has all files is divided among the hosts, so that each
    row counts once. A mistake on one host raises ClientError on every host.
    """
    job.channel(channel_names[0])
    channels = [job.channels[name] for name in channel_names if name in job.channels]
    parts = _together(job.hosts, lambda: [_Part.read(channel, input_format, feature_dim) for channel in channels])
    width = feature_dim or job.hosts.largest(max(part.width for part in parts))
    tables = _together(job.hosts, lambda: [part.table(width, input_format) for part in parts])
    for channel, table in zip(channels, tables, strict=True):
        if job.hosts.largest(table.features.shape[0]) == 0:
            raise ClientError(f"channel {channel.name} has no rows")
    return {
        channel.name: _own_share(job.hosts, channel, table) for channel, table in zip(channels, tables, strict=True)
    }


def _own_share(hosts: Hosts, channel: Channel, table: Table) -> Table:
    """This host's part of a replicated channel, in the order of the file; all rows of any other channel."""
    if not channel.replicated:
        return table
    count, parts = table.features.shape[0], len(hosts.names)
    own = slice(count * hosts.rank // parts, count * (hosts.rank + 1) // parts)
    return Table(table.labels[own], table.features[own])


def _together(hosts: Hosts, step: Callable[[], list[T]]) -> list[T]:
    """What `step` gives here, if it raises ClientError on no host."""
    try:
        results, problem = step(), None
    except ClientError as error:
        results, problem = [], str(error)
    hosts.fail_together(problem)
    return results


@dataclass(frozen=True)
class _Part:
    """A channel's rows on this host, before the hosts agree on its width."""

    channel: Channel
    labels: FloatArray
    features: FloatArray | SparseRows

    @classmethod
    def read(cls, channel: Channel, input_format: InputFormat, feature_dim: int | None) -> _Part:
        content_type = media_type(channel.content_type or input_format.default_type)
        if content_type.name not in FILE_FORMATS:
            raise ClientError(
                f"channel {channel.name}: content type {content_type.name} is not read here; "
                f"{', '.join(FILE_FORMATS)} are"
            )
        if channel.is_pipe and content_type.name == PARQUET:
            raise ClientError(f"channel {channel.name}: Parquet files cannot be read from a pipe; use input mode File")
        label_size = content_type.parameters.get("label_size", "1")
        if label_size not in ("0", "1"):
            raise ClientError(f"channel {channel.name}: label_size={label_size}: must be 0 or 1")
        if label_size == "0" and input_format.needs_labels:
            raise ClientError(f"channel {channel.name}: label_size=0, but this algorithm learns from labels")
        blocks = _blocks(channel, FILE_FORMATS[content_type.name], int(label_size), input_format)
        part = cls(channel, *_joined(list(blocks)))
        part._check_width(feature_dim, content_type)
        return part

    @property
    def row_count(self) -> int:
        return len(self.features.lengths) if isinstance(self.features, SparseRows) else len(self.features)

    @property
    def width(self) -> int:
        return self.features.width if isinstance(self.features, SparseRows) else self.features.shape[1]

    def _check_width(self, feature_dim: int | None, content_type: MediaType) -> None:
        if feature_dim is None or not self.row_count or self.width == feature_dim:
            return
        if isinstance(self.features, SparseRows) and self.width < feature_dim:
            return
        takes_label = content_type.name in (CSV, PARQUET) and "label_size" not in content_type.parameters
        hint = (
            f"; its first column is taken for the label: {content_type.name};label_size=0 says that there is none"
            if takes_label and self.width == feature_dim - 1
            else ""
        )
        raise ClientError(
            f"hyperparameters: feature_dim={feature_dim}, but the data has {self.width} features "
            f"in channel {self.channel.name}{hint}"
        )

    def table(self, width: int, input_format: InputFormat) -> Table:
        if isinstance(self.features, SparseRows):
            try:
                if input_format.keep_sparse:
                    return Table(self.labels, self.features.csr(width=width))
                return Table(self.labels, self.features.dense(width=width, absent=input_format.absent))
            except ValueError as error:
                raise ClientError(f"channel {self.channel.name}: {error}") from error
        if not len(self.features):
            return Table(self.labels, np.empty((0, width)))
        if self.width != width:
            raise ClientError(
                f"channel {self.channel.name} has {self.width} features a row, others of this job have {width}"
            )
        return Table(self.labels, self.features)


def _joined(blocks: Sequence[Rows]) -> tuple[FloatArray, FloatArray | SparseRows]:
    """All blocks of a channel as one; they are known to have the same columns."""
    labels = [block for block, _ in blocks if block is not None]
    dense = [rows for _, rows in blocks if not isinstance(rows, SparseRows)]
    sparse = [rows for _, rows in blocks if isinstance(rows, SparseRows)]
    for more in sparse[1:]:
        sparse[0].extend(more)
    all_labels = np.concatenate(labels) if labels else np.empty(0)
    return all_labels, sparse[0] if sparse else np.concatenate(dense or [np.empty((0, 0))])


def _blocks(channel: Channel, file_format: FileFormat, label_size: int, input_format: InputFormat) -> Iterator[Rows]:
    """The channel's rows in blocks, each checked against those before and what the algorithm can take."""
    before: Rows | None = None
    for path, stream in _streams(channel):
        try:
            for first_row, rows in file_format.read(stream, label_size):
                place = f"{path}{file_format.before_row}"
                if problem := _unlike(rows, before or rows, needs_labels=input_format.needs_labels):
                    raise ClientError(f"{place}{first_row}: {problem}")
                labels, features = before = rows
                label_columns = label_size * file_format.label_is_column
                if labels is not None:
                    _refuse_missing(place, first_row, labels[:, np.newaxis], "column" if label_columns else "label")
                if not isinstance(features, SparseRows) and not input_format.allow_missing:
                    noun = "column" if file_format.label_is_column else "feature"
                    _refuse_missing(place, first_row, features, noun, 1 + label_columns)
                yield rows
        except BadRow as error:
            raise ClientError(f"{path}:{error.line_number}: {error.reason}") from error
        except (recordio.BadRecord, TooLarge) as error:
            raise ClientError(f"{path}: {error}") from error


def _streams(channel: Channel) -> Iterator[tuple[Path, BinaryIO]]:
    """The files of the channel, also those that come wrapped through a pipe."""
    for path in channel.paths():
        with path.open("rb") as stream:
            if not (channel.is_pipe and channel.record_wrapped):
                yield path, stream
                continue
            try:
                files = recordio.whole(stream.read())
            except recordio.BadRecord as error:
                raise ClientError(f"{path}: {error}") from error
            for file in files:
                yield path, io.BytesIO(file)


def _unlike(rows: Rows, before: Rows, *, needs_labels: bool) -> str | None:
    """Why `rows` cannot follow those `before`; None if they can."""
    labels, features = rows
    if labels is None and needs_labels:
        return "no label, but this algorithm learns from labels"
    if (labels is None) != (before[0] is None):
        return "some rows have a label, some have none"
    if isinstance(features, SparseRows) or isinstance(before[1], SparseRows):
        return None if type(features) is type(before[1]) else "some rows are dense, some are sparse"
    if features.shape[1] != before[1].shape[1]:
        return f"{features.shape[1]} features, but the rows before have {before[1].shape[1]}"
    return None


def _refuse_missing(place: str, first_row: int, block: FloatArray, noun: str, first_column: int = 1) -> None:
    missing = np.argwhere(np.isnan(block))
    if len(missing):
        row, column = missing[0].tolist()
        raise ClientError(f"{place}{first_row + row}: {noun} {first_column + column} is empty")


def _read_csv(stream: BinaryIO, label_size: int) -> Iterator[tuple[int, Rows]]:
    for first_line, text in _text_blocks(stream):
        rows = parse_csv(text, first_line=first_line)
        if rows.size:
            yield first_line, _label_first(rows, label_size)


def _label_first(rows: FloatArray, label_size: int) -> Rows:
    return rows[:, 0] if label_size else None, rows[:, label_size:]


def _read_libsvm(stream: BinaryIO, _label_size: int) -> Iterator[tuple[int, Rows]]:
    for first_line, text in _text_blocks(stream):
        rows = SparseRows()
        rows.add_libsvm(text, labelled=True, first_line=first_line)
        yield first_line, (np.array(rows.labels), rows)


def _read_json_lines(stream: BinaryIO, _label_size: int) -> Iterator[tuple[int, Rows]]:
    for first_line, text in _text_blocks(stream):
        instances = {number: line for number, line in enumerate(text.splitlines(), first_line) if line.strip()}
        if instances:
            yield first_line, _instances(instances)


def _instances(lines: Mapping[int, bytes]) -> Rows:
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
                dense.append(np.array(features, np.float64))
                if dense[-1].shape != dense[0].shape or dense[-1].ndim != 1:
                    raise ValueError(f"{len(features)} features, but the rows before have {len(dense[0])}")
            if dense and sparse.lengths:
                raise ValueError("some rows are dense, some are sparse")
            if (labels[-1] is None) != (labels[0] is None):
                raise ValueError("some rows have a label, some have none")
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadRow(number, f"not an instance as expected: {error}") from error
    features_of_all = sparse if sparse.lengths else np.array(dense)
    return (None if labels[0] is None else np.array(labels, np.float64)), features_of_all


def _read_recordio(stream: BinaryIO, _label_size: int) -> Iterator[tuple[int, Rows]]:
    number, rest = 1, b""
    while data := stream.read(BLOCK_BYTES):
        data = rest + data
        records, end = recordio.split(data, number)
        if records:
            yield number, recordio.rows_of(records, number)
        number, rest = number + len(records), data[end:]
    if rest:
        raise recordio.BadRecord(number, "ends too early")


def _read_parquet(stream: BinaryIO, label_size: int) -> Iterator[tuple[int, Rows]]:
    number = 1
    try:
        for columns in _parquet_columns(stream):
            rows = np.column_stack(columns) if columns else np.empty((0, 0))
            if rows.size:
                yield number, _label_first(rows, label_size)
            number += len(rows)
    except BadRow:
        raise
    except Exception as error:  # damage shows as any of a dozen kinds, a UnicodeDecodeError in a name among them
        raise BadRow(number, f"not a Parquet file that can be read: {type(error).__name__}: {error}") from error


def _parquet_columns(stream: BinaryIO) -> Iterator[list[FloatArray]]:
    """The columns of each batch of rows. Raises BadRow for a column that holds no numbers."""
    from pyarrow import parquet, types

    file = parquet.ParquetFile(stream)
    for column in file.schema_arrow:
        kind = column.type
        if not any(
            is_kind(kind) for is_kind in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        ):
            raise BadRow(1, f"column {column.name!r} holds {kind}, not numbers")
    for batch in file.iter_batches():
        yield [column.cast("float64").to_numpy(zero_copy_only=False) for column in batch.columns]


@dataclass(frozen=True)
class FileFormat:
    """How the rows of a content type are read, and how one of them is named in a message."""

    read: Callable[[BinaryIO, int], Iterator[tuple[int, Rows]]]  # blocks, each with the number of its first row
    before_row: str = ":"
    label_is_column: bool = False


FILE_FORMATS: Mapping[str, FileFormat] = {
    CSV: FileFormat(_read_csv, label_is_column=True),
    LIBSVM: FileFormat(_read_libsvm),
    RECORDIO: FileFormat(_read_recordio, before_row=": record "),
    JSON_LINES: FileFormat(_read_json_lines),
    PARQUET: FileFormat(_read_parquet, before_row=": row ", label_is_column=True),
}


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
