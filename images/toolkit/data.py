"""A job's channels as arrays: labels and features, of one width on all channels and hosts.

`reading` says how each channel is read, `blocks` and `parquet` read its files, from disk or from a pipe. Here their
blocks are checked and put together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit import doubts, hints, recordio
from toolkit.blocks import Block
from toolkit.columns import Wanted
from toolkit.errors import ClientError
from toolkit.finite import first_unfit, why_unfit
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto
from toolkit.label_note import label_line
from toolkit.limits import TooLarge
from toolkit.media import CSV
from toolkit.model import COLUMNS_FILE
from toolkit.places import Place
from toolkit.read_note import ChannelRead, files_and_bytes, report, total
from toolkit.reading import FILE_FORMATS, InputFormat, Reading, readings_of, together
from toolkit.rows import BadRow, FloatArray, SparseRows
from toolkit.sparse import require_memory, require_memory_for_dense
from toolkit.streams import streams
from toolkit.training import Channel, Job

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GROUPS = "qid groups rows for ranking, which is not done here; the rows count as all others"

__all__ = ["FILE_FORMATS", "InputFormat", "Table", "load_tables", "read_tables"]


@dataclass(frozen=True)
class Table:
    """One host's part of a channel: labels of shape (rows,), features of shape (rows, width).

    A channel without labels (`text/csv;label_size=0`, records that have none) has labels of shape
    (0,). Features are a sparse array only if `InputFormat.keep_sparse` asks for it. weights: of the rows, if the
    channel has any. names: of the columns that features were made of, where these have any. content_type: as what the
    channel was read.
    notes: what was read and does not count. label_column: of a table, as a message names it; classes: the names of
    labels 0, 1, ….
    """

    labels: FloatArray
    features: FloatArray | csr_array
    weights: FloatArray | None = None
    names: tuple[str, ...] | None = None
    content_type: str = ""
    notes: tuple[str, ...] = ()
    label_column: str = ""
    classes: tuple[str, ...] = ()


def load_tables(
    job: Job[Any], channel_names: Sequence[str], input_format: InputFormat, *, feature_dim: int | Auto | None = None
) -> dict[str, Table]:
    """Those of `channel_names` that the job has, the first of them required.

    `feature_dim` is the number of features, if a hyperparameter gives it; of columns, where these have names. A host
    may have no rows (fewer files than hosts), but not all of them. A channel of which every host has all files is
    divided among the hosts, so that each row counts once. A mistake on one host raises ClientError on every host.
    """
    job.channel(channel_names[0])
    channels = [job.channels[name] for name in channel_names if name in job.channels]
    asked = None if feature_dim == "auto" else feature_dim
    if job.columns is None:
        tables = read_tables(job.hosts, channels, input_format, asked)
    else:
        tables = _named_tables(job, channels, job.columns, input_format, asked)
    for channel, table in zip(channels, tables, strict=True):
        if job.hosts.largest(table.features.shape[0]) == 0:
            raise ClientError(f"channel {channel.name} has no rows{_why_none(channel)}")
        if not table.features.shape[1]:
            raise ClientError(f"channel {channel.name} has no features, only labels: there is nothing to learn from")
    each = list(zip(channels, tables, strict=True))
    reads = [(channel.name, _read(job.hosts, channel, table)) for channel, table in each]
    label = _label_line(job.hosts, *each[0])
    report(job, [(name, replace(read, label="" if place else label)) for place, (name, read) in enumerate(reads)])
    return {channel.name: _own_share(job.hosts, channel, table) for channel, table in each}


def _read(hosts: Hosts, channel: Channel, table: Table) -> ChannelRead:
    """What all hosts have read of a channel, of which this one has read `table`."""
    notes = list(table.notes)
    notes += [] if channel.is_pipe else doubts.of_files([path.name for path in channel.files()])
    if table.content_type == CSV and table.names is None and isinstance(table.features, np.ndarray):
        notes += doubts.of_columns(table.labels, table.features)
    row_count, width = table.features.shape
    read = ChannelRead(
        *files_and_bytes(channel),
        rows=row_count,
        features=len(table.names) if table.names else width,
        names=table.names or (),
        has_weights=table.weights is not None,
        notes=tuple(notes),
    )
    return total(hosts, channel, read)


def _label_line(hosts: Hosts, channel: Channel, table: Table) -> str:
    return label_line(hosts, table.labels, table.label_column, classes=table.classes, is_whole=channel.replicated)


def _why_none(channel: Channel) -> str:
    if channel.is_pipe:
        return ""
    if channel.files():
        return ": its files are empty"
    is_all_hidden = any(path.is_file() for path in channel.folder.rglob("*"))
    return ": names that begin with . or _ are no data" if is_all_hidden else ": it has no files"


def read_tables(
    hosts: Hosts, channels: Sequence[Channel], input_format: InputFormat, feature_dim: int | None = None
) -> list[Table]:
    """What the files of the channels hold on this host, of one width on all. Raises ClientError."""
    readings = readings_of(hosts, channels, input_format)
    parts = together(hosts, lambda: [_Part.read(reading, input_format, feature_dim) for reading in readings])
    _require_alike(hosts, parts)
    width = feature_dim or hosts.largest(max(part.width for part in parts))
    return together(hosts, lambda: [part.table(width, input_format) for part in parts])


def _require_alike(hosts: Hosts, parts: Sequence[_Part]) -> None:
    """Raise ClientError where rows of one host have labels or weights, and those of another have none."""
    problem = None
    for part in parts:
        for noun, count in (("label", len(part.labels)), ("weight", 0 if part.weights is None else len(part.weights))):
            if hosts.any(count > 0) and part.row_count and not count:
                problem = f"channel {part.reading.channel.name}: some rows have a {noun}, some have none"
    hosts.fail_together(problem)


def _named_tables(
    job: Job[Any], channels: Sequence[Channel], wanted: Wanted, input_format: InputFormat, feature_dim: int | None
) -> list[Table]:
    """The tables of channels whose columns have names; what the columns mean is laid beside the model."""
    from toolkit.named_tables import read_named

    columns, tables = read_named(job.hosts, channels, wanted, input_format)
    if feature_dim not in (None, columns.width, len(columns.features)):
        raise ClientError(
            f"hyperparameters: feature_dim={feature_dim}, but there are {len(columns.features)} columns to learn from"
        )
    job.beside_model[COLUMNS_FILE] = columns.to_json()
    names = tuple(column.name for column in columns.features)
    return [
        Table(
            table.labels,
            table.features,
            names=names,
            content_type=table.content_type,
            label_column=table.label_column,
            classes=columns.classes,
        )
        for table in tables
    ]


def _own_share(hosts: Hosts, channel: Channel, table: Table) -> Table:
    """This host's part of a replicated channel, in the order of the file; all rows of any other channel."""
    if not channel.replicated:
        return table
    count, parts = table.features.shape[0], len(hosts.names)
    own = slice(count * hosts.rank // parts, count * (hosts.rank + 1) // parts)
    weights = None if table.weights is None else table.weights[own]
    return replace(table, labels=table.labels[own], features=table.features[own], weights=weights, notes=())


@dataclass(frozen=True)
class _Part:
    """A channel's rows on this host, before the hosts agree on its width."""

    reading: Reading
    labels: FloatArray
    features: FloatArray | SparseRows
    weights: FloatArray | None

    @classmethod
    def read(cls, reading: Reading, input_format: InputFormat, feature_dim: int | None) -> _Part:
        part = cls(reading, *_joined(list(blocks_of(reading, input_format))))
        part._check_width(feature_dim)
        return part

    @property
    def row_count(self) -> int:
        return len(self.features.lengths) if isinstance(self.features, SparseRows) else len(self.features)

    @property
    def width(self) -> int:
        return self.features.width if isinstance(self.features, SparseRows) else self.features.shape[1]

    def _check_width(self, feature_dim: int | None) -> None:
        if feature_dim is None or not self.row_count or self.width == feature_dim:
            return
        if isinstance(self.features, SparseRows) and self.width < feature_dim:
            return
        content_type = self.reading.content_type
        takes_label = self.reading.file_format.is_table and "label_size" not in content_type.parameters
        hint = (
            f"; its first column is taken for the label: {content_type.name};label_size=0 says that there is none"
            if takes_label and self.width == feature_dim - 1
            else ""
        )
        raise ClientError(
            f"hyperparameters: feature_dim={feature_dim}, but the data has {self.width} features "
            f"in channel {self.reading.channel.name}{hint}"
        )

    def _label_column(self) -> str:
        layout = self.reading.layout
        if not self.reading.file_format.is_table or not layout.label_size:
            return ""
        return "column 1" + (f" ({layout.names[0]})" if layout.names else "")

    def table(self, width: int, input_format: InputFormat) -> Table:
        notes = (GROUPS,) if isinstance(self.features, SparseRows) and self.features.has_groups else ()
        layout = self.reading.layout
        more = (self.weights, layout.feature_names, self.reading.content_type.name, notes, self._label_column())
        if isinstance(self.features, SparseRows):
            try:
                if input_format.keep_sparse:
                    require_memory(8 * width, f"{width:,} features, by the largest index,")
                    return Table(self.labels, self.features.csr(width=width), *more)
                require_memory_for_dense(self.row_count, width)
                return Table(self.labels, self.features.dense(width=width, absent=input_format.absent), *more)
            except ValueError as error:
                raise ClientError(f"channel {self.reading.channel.name}: {error}") from error
        if not len(self.features):
            return Table(self.labels, np.empty((0, width)), *more)
        if self.width != width:
            raise ClientError(
                f"channel {self.reading.channel.name} has {self.width} features a row, others of this job have {width}"
            )
        return Table(self.labels, self.features, *more)


def _joined(blocks: Sequence[Block]) -> tuple[FloatArray, FloatArray | SparseRows, FloatArray | None]:
    """All blocks of a channel as one; they are known to have the same columns."""
    labels = [block.labels for block in blocks if block.labels is not None]
    weights = [block.weights for block in blocks if block.weights is not None]
    dense = [block.features for block in blocks if not isinstance(block.features, SparseRows)]
    sparse = [block.features for block in blocks if isinstance(block.features, SparseRows)]
    for more in sparse[1:]:
        sparse[0].extend(more)
    all_labels = np.concatenate(labels) if labels else np.empty(0)
    features = sparse[0] if sparse else np.concatenate(dense or [np.empty((0, 0))])
    return all_labels, features, np.concatenate(weights) if weights else None


def blocks_of(reading: Reading, input_format: InputFormat) -> Iterator[Block]:
    """The channel's rows in blocks, each checked against those before and what the algorithm can take."""
    before: Block | None = None
    for path, stream in streams(reading.channel):
        place = Place.of(reading.channel, path, reading.file_format.before_row)
        hint = reading.hint(path)  # until the file has given a row
        try:
            if reading.file_format.is_text and (kind := hints.of_file(stream.peek(hints.BYTES_LOOKED_AT))):
                raise ClientError(f"{place}: {kind}{hint}")
            for block in reading.file_format.read(stream, reading.layout):
                if problem := _unlike(block, before or block, input_format):
                    raise ClientError(f"{place.row(block.number_of(0))}: {problem}{hint}")
                _refuse_unfit(block, place, reading, input_format)
                before, hint = replace(block, line_of=None), ""  # which may hold the text of the file
                yield before
        except BadRow as error:
            raise ClientError(error.at(place) + hint) from error
        except (recordio.BadRecord, TooLarge) as error:
            raise ClientError(f"{place}: {error}{hint}") from error


def _unlike(block: Block, before: Block, input_format: InputFormat) -> str | None:
    """Why `block` cannot follow what stands `before`; None if it can."""
    if block.labels is None and input_format.needs_labels:
        return "no label, but this algorithm learns from labels"
    if (block.labels is None) != (before.labels is None):
        return "some rows have a label, some have none"
    if (block.weights is None) != (before.weights is None):
        return "some rows have a weight, some have none"
    features, earlier = block.features, before.features
    if isinstance(features, SparseRows) or isinstance(earlier, SparseRows):
        return None if type(features) is type(earlier) else "some rows are dense, some are sparse"
    if features.shape[1] != earlier.shape[1]:
        return f"{features.shape[1]} features, but the rows before have {earlier.shape[1]}"
    return None


def _refuse_unfit(block: Block, place: Place, reading: Reading, input_format: InputFormat) -> None:
    """Raise ClientError for the first number that nothing can be learned from."""
    for values, noun, number in _single_columns(block, reading):
        row = first_unfit(values, allow_missing=False)
        why = None if row is None else why_unfit(float(values[row]))
        if noun == "weight" and row is None and values.min(initial=0) < 0:
            row = int(np.argmax(values < 0))
            why = f"is {values[row]:g}, but a weight is 0 or more"
        if row is not None:
            where = _field(block, place, reading, row, number, noun=noun)
            raise ClientError(f"{where} {why}{_role(noun, number, reading)}")
    if block.labels is not None and input_format.label_rule and (found := input_format.label_rule(block.labels)):
        row, why, fix = found
        fix = fix or _role("label", 0, reading)
        raise ClientError(f"{place.row(block.number_of(row))}: {why}{fix}")
    features = block.features
    if isinstance(features, SparseRows):
        values = np.frombuffer(features.values)
        if (entry := first_unfit(values, allow_missing=input_format.allow_missing)) is not None:
            why = why_unfit(float(values[entry]))
        elif (entry := features.doubled()) is not None:
            why = "comes twice in the row"
        if entry is not None:
            row, column = features.row_of(entry), features.columns[entry]
            raise ClientError(f"{place.field(block.number_of(row), 'index', column)} {why}")
    elif (entry := first_unfit(features, allow_missing=input_format.allow_missing)) is not None:
        row, feature = divmod(entry, features.shape[1])
        why = why_unfit(float(features[row, feature]))
        raise ClientError(f"{_field(block, place, reading, row, feature + reading.layout.before_features)} {why}")


def _single_columns(block: Block, reading: Reading) -> Iterator[tuple[FloatArray, str, int]]:
    """Labels and weights, each with what it is and its column among all."""
    if block.labels is not None:
        yield block.labels, "label", 0
    if block.weights is not None:
        yield block.weights, "weight", reading.layout.label_size


def _role(noun: str, column: int, reading: Reading) -> str:
    """What a column of a table is by its place alone: whoever does not know that takes it for a feature."""
    return f"; the {('first', 'second')[column]} column is the {noun}" if reading.file_format.is_table else ""


def _field(block: Block, place: Place, reading: Reading, row: int, column: int, *, noun: str = "feature") -> str:
    """Where a field stands. column: among all, from 0; in a message, columns and features count from 1."""
    number = block.number_of(row)
    if reading.file_format.is_table:
        names = reading.layout.names
        return place.field(number, "column", column + 1, names[column] if names else "")
    if noun != "feature":
        return f"{place.row(number)}, {noun}"
    return place.field(number, noun, column - reading.layout.before_features + 1)
