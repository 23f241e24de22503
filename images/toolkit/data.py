"""A job's channels as arrays: labels and features, of one width on all channels and hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ClientError
from toolkit.hosts import Hosts, T
from toolkit.media import CSV, LIBSVM, media_type
from toolkit.rows import BadRow, FloatArray, SparseRows, parse_csv
from toolkit.training import Channel, Job

BLOCK_BYTES = 8 * 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Table:
    """One host's part of a channel: labels of shape (rows,), features of shape (rows, width).

    A channel said to be without labels (`text/csv;label_size=0`) has none: shape (0,).
    """

    labels: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class TextFormat:
    """How an algorithm reads its channels."""

    default_type: str = CSV  # of a channel without a content type
    absent: float = 0.0  # what libsvm leaves out
    allow_missing: bool = False  # empty CSV fields become NaN
    needs_labels: bool = True


def load_tables(job: Job[Any], channel_names: Sequence[str], text_format: TextFormat) -> dict[str, Table]:
    """Those of `channel_names` that the job has, the first of them required.

    A host may be left without rows (fewer files than hosts), but not all of them. A channel that
    every host has whole is divided among them, so that each row counts once. What is wrong on one
    host raises ClientError on every host.
    """
    job.channel(channel_names[0])
    channels = [job.channels[name] for name in channel_names if name in job.channels]
    parts = _together(job.hosts, lambda: [_Part.read(channel, text_format) for channel in channels])
    width = job.hosts.largest(max(part.width for part in parts))
    tables = _together(job.hosts, lambda: [part.table(width, text_format.absent) for part in parts])
    for channel, table in zip(channels, tables, strict=True):
        if job.hosts.largest(len(table.features)) == 0:
            raise ClientError(f"channel {channel.name} has no rows")
    return {
        channel.name: _own_share(job.hosts, channel, table) for channel, table in zip(channels, tables, strict=True)
    }


def check_width(feature_dim: int, table: Table) -> None:
    """Raise ClientError if the rows are not as wide as the hyperparameter feature_dim says."""
    width = table.features.shape[1]
    if feature_dim != width:
        raise ClientError(f"hyperparameters: feature_dim={feature_dim}, but the data has {width} features")


def _own_share(hosts: Hosts, channel: Channel, table: Table) -> Table:
    """The host's part of a replicated channel, in the order of the file; all of any other."""
    if not channel.replicated:
        return table
    count, parts = len(table.features), len(hosts.names)
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
    """A channel's rows on this host, before its width is settled with the other hosts."""

    channel: Channel
    labels: FloatArray
    features: FloatArray | SparseRows

    @classmethod
    def read(cls, channel: Channel, text_format: TextFormat) -> _Part:
        content_type = media_type(channel.content_type or text_format.default_type)
        if content_type.name == LIBSVM:
            sparse = _read_libsvm(channel)
            return cls(channel, np.array(sparse.labels), sparse)
        if content_type.name != CSV:
            raise ClientError(
                f"channel {channel.name}: content type {content_type.name} is not read here; {CSV} and {LIBSVM} are"
            )
        label_size = content_type.parameters.get("label_size", "1")
        if label_size not in ("0", "1"):
            raise ClientError(f"channel {channel.name}: label_size={label_size}: must be 0 or 1")
        if label_size == "0" and text_format.needs_labels:
            raise ClientError(f"channel {channel.name}: label_size=0, but this algorithm learns from labels")
        rows = _read_csv(channel, int(label_size), allow_missing=text_format.allow_missing)
        labels = rows[:, 0] if label_size == "1" else np.empty(0)
        return cls(channel, labels, rows[:, int(label_size) :])

    @property
    def width(self) -> int:
        return self.features.width if isinstance(self.features, SparseRows) else self.features.shape[1]

    def table(self, width: int, absent: float) -> Table:
        if isinstance(self.features, SparseRows):
            try:
                return Table(self.labels, self.features.dense(width=width, absent=absent))
            except ValueError as error:
                raise ClientError(f"channel {self.channel.name}: {error}") from error
        if not len(self.features):
            return Table(self.labels, np.empty((0, width)))
        if self.width != width:
            raise ClientError(
                f"channel {self.channel.name} has {self.width} features a row, others of this job have {width}"
            )
        return Table(self.labels, self.features)


def _read_csv(channel: Channel, label_size: int, *, allow_missing: bool) -> FloatArray:
    blocks: list[FloatArray] = []
    for path in channel.files():
        for first_line, text in _blocks(path):
            try:
                block = parse_csv(text, first_line=first_line)
            except BadRow as error:
                raise ClientError(f"{path}:{error.line_number}: {error.reason}") from error
            if not block.size:
                continue
            if blocks and block.shape[1] != blocks[0].shape[1]:
                raise ClientError(
                    f"{path}:{first_line}: {block.shape[1]} columns, but the rows before have {blocks[0].shape[1]}"
                )
            _refuse_missing(path, first_line, block[:, : label_size if allow_missing else None])
            blocks.append(block)
    return np.concatenate(blocks) if blocks else np.empty((0, label_size))


def _refuse_missing(path: Path, first_line: int, block: FloatArray) -> None:
    missing = np.argwhere(np.isnan(block))
    if len(missing):
        row, column = missing[0]
        raise ClientError(f"{path}:{first_line + row}: column {column + 1} is empty")


def _read_libsvm(channel: Channel) -> SparseRows:
    rows = SparseRows()
    for path in channel.files():
        for first_line, text in _blocks(path):
            try:
                rows.add(text, labelled=True, first_line=first_line)
            except BadRow as error:
                raise ClientError(f"{path}:{error.line_number}: {error.reason}") from error
    return rows


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The file in blocks of whole lines, each with the number of its first line."""
    line_number, rest = 1, b""
    with path.open("rb") as file:
        text = file.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
        while text:
            text = rest + text
            end = text.rfind(b"\n") + 1
            if end:
                yield line_number, text[:end]
                line_number += text.count(b"\n", 0, end)
            rest, text = text[end:], file.read(BLOCK_BYTES)
    if rest:
        yield line_number, rest
