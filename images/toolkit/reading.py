"""How each channel of a job is to be read: in which format, and by which columns. The hosts agree on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from toolkit import parquet
from toolkit.blocks import FileFormat, Layout, read_csv, read_json_lines, read_libsvm, read_recordio
from toolkit.errors import ClientError
from toolkit.hosts import Hosts, T
from toolkit.limits import TooLarge
from toolkit.media import (
    CSV,
    JSON_LINES,
    LIBSVM,
    PARQUET,
    RECORDIO,
    MediaType,
    is_json,
    media_type,
    media_type_of_file,
    media_type_of_head,
)
from toolkit.places import Place
from toolkit.rows import BadRow, FloatArray, parse_csv
from toolkit.streams import streams
from toolkit.training import Channel

FILE_FORMATS: Mapping[str, FileFormat] = {
    CSV: FileFormat(read_csv, noun="column", is_table=True, is_text=True),
    LIBSVM: FileFormat(read_libsvm, is_text=True),
    RECORDIO: FileFormat(read_recordio, before_row=": record "),
    JSON_LINES: FileFormat(read_json_lines, is_text=True),
    PARQUET: FileFormat(
        parquet.read_parquet, before_row=": row ", noun="column", is_table=True, names=parquet.column_names
    ),
}

NOUNS = {CSV: "CSV", LIBSVM: "libsvm", RECORDIO: "RecordIO", JSON_LINES: "JSON Lines", PARQUET: "Parquet"}

# The first of some labels that cannot be taken: where among them, why, and how to fix it if that is known.
LabelRule: TypeAlias = Callable[[FloatArray], tuple[int, str, str] | None]


@dataclass(frozen=True)
class InputFormat:
    """How an algorithm reads its channels."""

    default_type: str = CSV  # of a channel without a content type, whose files' names do not show it
    absent: float = 0.0  # what a sparse row leaves out
    allow_missing: bool = False  # empty CSV fields, nulls, become NaN; infinite numbers are always refused
    needs_labels: bool = True
    quantities: str = ""  # why a label cannot be text, and what to set for classes; empty: it can
    keep_sparse: bool = False  # sparse rows stay a csr_array; what they leave out is then not filled in
    takes_weights: bool = False  # label:weight of libsvm
    csv_weights: bool = False  # the second column of CSV is the row's weight
    label_rule: LabelRule | None = None  # which labels the algorithm can take


@dataclass(frozen=True)
class Reading:
    """How one channel is read on this host. is_default: neither the channel nor its files' names say as what."""

    channel: Channel
    content_type: MediaType
    file_format: FileFormat
    layout: Layout
    is_default: bool = False

    def hint(self, path: Path) -> str:
        """For the end of a message about a file that cannot be read from its beginning."""
        said = ""
        if self.is_default:
            said = f"; it is read as {self.content_type.name}, since the channel has no content_type"
            said += "" if self.content_type.name == CSV else f": for CSV, say content_type: {CSV}"
        if media_type_of_file(path.name) is None and len(self.channel.paths()) > 1:
            said += "; if it is no data, take it out of the channel, or let its name begin with . or _"
        return said


def readings_of(hosts: Hosts, channels: Sequence[Channel], input_format: InputFormat) -> list[Reading]:
    """Raises ClientError, on every host if on one, where a channel cannot be read, or hosts see different columns."""
    types = [content_type_of(hosts, channel) for channel in channels]
    checked = zip(channels, types, strict=True)
    readings = together(hosts, lambda: [_reading(*each, input_format) for each in checked])
    if readings[0].layout.has_weights:
        readings = _where_weights_are(hosts, readings)
    return _with_names(hosts, readings)


def together(hosts: Hosts, step: Callable[[], list[T]]) -> list[T]:
    """What `step` gives here, if it raises ClientError on no host."""
    try:
        results, problem = step(), None
    except ClientError as error:
        results, problem = [], str(error)
    hosts.fail_together(problem)
    return results


def content_type_of(hosts: Hosts, channel: Channel) -> MediaType | None:
    """What the channel says, or else what the names of its files show, or else how the first of them begins."""
    if channel.content_type:
        return media_type(channel.content_type)
    names = [] if channel.is_pipe else [path.name for path in channel.files()]
    by_type = {kind: name for name in reversed(names) if (kind := media_type_of_file(name))}
    own = next(iter(by_type)) if len(by_type) == 1 else None
    if not by_type and not channel.is_pipe:
        own = _by_its_beginning(channel)
    agreed = hosts.first(own)
    others = {kind: name for kind, name in by_type.items() if kind != agreed}
    problem = None
    if len(by_type) > 1 or (agreed and others):
        seen = " and ".join(f"{NOUNS[kind]} ({name})" for kind, name in sorted(by_type.items()))
        first = f" and, on other hosts, {NOUNS[agreed]}" if agreed and len(by_type) == 1 else ""
        problem = (
            f"channel {channel.name}: by their names, its files mix {seen}{first}; keep one kind in the folder, or say "
            "which all are with content_type"
        )
    elif agreed is None and (own_json := next((name for name in names if is_json(name)), "")):
        problem = (
            f"channel {channel.name}: {own_json} is JSON by its name; write it as CSV or Parquet, or, where "
            "columns have no names, as JSON Lines (.jsonl)"
        )
    hosts.fail_together(problem)
    return media_type(agreed) if agreed else None


def _by_its_beginning(channel: Channel) -> str | None:
    """What SageMaker's clients write has no suffix, and the hosted algorithms take it without a content type."""
    path = next((path for path in channel.files() if path.stat().st_size), None)
    if path is None:
        return None
    with path.open("rb") as stream:
        return media_type_of_head(stream.read(4))


def _reading(channel: Channel, found: MediaType | None, input_format: InputFormat) -> Reading:
    content_type = found or media_type(input_format.default_type)
    if content_type.name not in FILE_FORMATS:
        raise ClientError(
            f"channel {channel.name}: content type {content_type.name} is not read here; {', '.join(FILE_FORMATS)} are"
        )
    if channel.is_pipe and content_type.name == PARQUET:
        raise ClientError(f"channel {channel.name}: Parquet files cannot be read from a pipe; use input mode File")
    label_size = content_type.parameters.get("label_size", "1")
    if label_size not in ("0", "1"):
        raise ClientError(f"channel {channel.name}: label_size={label_size}: must be 0 or 1")
    if label_size == "0" and input_format.needs_labels:
        raise ClientError(f"channel {channel.name}: label_size=0, but this algorithm learns from labels")
    has_weights = input_format.csv_weights and content_type.name == CSV
    layout = Layout(int(label_size), has_weights, input_format.takes_weights)
    return Reading(channel, content_type, FILE_FORMATS[content_type.name], layout, found is None)


def _where_weights_are(hosts: Hosts, readings: Sequence[Reading]) -> list[Reading]:
    """The same without weights in channels whose rows have a column less than the first channel's.

    On SageMaker only the rows of train have weights; here others may have them, too.
    """
    counts = [hosts.first(_column_count(reading)) for reading in readings]
    return [
        replace(reading, layout=replace(reading.layout, has_weights=False))
        if counts[0] and count == counts[0] - 1
        else reading
        for reading, count in zip(readings, counts, strict=True)
    ]


def _column_count(reading: Reading) -> int | None:
    """The columns of the first row of CSV; None where it comes through a pipe, or cannot be read."""
    if reading.channel.is_pipe or not reading.layout.has_weights:
        return None
    try:
        for _, stream in streams(reading.channel):
            if line := next((line for line in stream if line.strip()), b""):
                return int(parse_csv(line).shape[1])
    except (BadRow, ClientError, TooLarge):  # which is said with its place when the rows are read
        pass
    return None


def _with_names(hosts: Hosts, readings: Sequence[Reading]) -> list[Reading]:
    """The same with the names of columns, where a format has any: the first channel's, of the first host with a file.

    So a column means the same in all files, channels and hosts.
    """
    own = together(hosts, lambda: [_names_in_first_file(reading) for reading in readings])
    agreed: dict[str, tuple[str, ...]] = {}
    for reading, names in zip(readings, own, strict=True):
        if found := hosts.first(names):
            agreed.setdefault(reading.content_type.name, found)
    return [
        replace(reading, layout=replace(reading.layout, names=agreed.get(reading.content_type.name)))
        for reading in readings
    ]


def _names_in_first_file(reading: Reading) -> tuple[str, ...] | None:
    path = next(iter(reading.channel.paths()), None)
    if reading.file_format.names is None or path is None:
        return None
    try:
        with path.open("rb") as stream:
            return reading.file_format.names(stream)
    except BadRow as error:
        raise ClientError(error.at(Place.of(reading.channel, path, reading.file_format.before_row))) from error
