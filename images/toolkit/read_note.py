"""What a job has read, in a line for each channel and in a small file for the platform: `train: 2 files, 300 rows, 2
features: x, y`. It shows whoever looks which rows and columns a model has learned from.

The file is output/read.json, beside output/failure; the master writes it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.hosts import Hosts
from toolkit.training import Channel, Job

MOST_NAMES = 10  # in the line
MOST_NAMES_KEPT = 100  # in the file
LONGEST_NAME = 100
FILE_NAME = "read.json"


@dataclass(frozen=True)
class ChannelRead:
    """A channel as it was read, by all hosts together. files and bytes: None where it came through a pipe."""

    files: int | None
    bytes: int | None
    rows: int
    features: int | None = None  # None where rows are not numbers
    names: tuple[str, ...] = ()  # of the features
    has_weights: bool = False
    notes: tuple[str, ...] = ()
    label: str = ""  # what the labels are, in a line

    def line(self, channel_name: str) -> str:
        parts = [] if self.files is None else [_counted(self.files, "file")]
        parts.append(_counted(self.rows, "row") + (" with weights" if self.has_weights else ""))
        if self.features is not None:
            parts.append(_counted(self.features, "feature"))
        names = [name[:LONGEST_NAME] for name in self.names[:MOST_NAMES]]
        if self.features and len(names) < len(self.names):
            names.append(f"and {self.features - len(names):,} more")
        return f"{channel_name}: {', '.join(parts)}" + (f": {', '.join(names)}" if names else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def total(hosts: Hosts, channel: Channel, read: ChannelRead) -> ChannelRead:
    """`read` on this host as what all have read. Of a channel of which each host has all, one has read the whole."""
    if channel.replicated:
        return read
    counts = [read.files or 0, read.bytes or 0, read.rows]
    files, size, rows = (int(count) for count in hosts.sum(np.array(counts, np.int64)))
    is_pipe = channel.is_pipe
    return dataclasses.replace(read, files=None if is_pipe else files, bytes=None if is_pipe else size, rows=rows)


def files_and_bytes(channel: Channel) -> tuple[int | None, int | None]:
    if channel.is_pipe:
        return None, None
    files = channel.files()
    return len(files), sum(path.stat().st_size for path in files)


def add_note(job: Job[Any], channel_name: str, note: str) -> None:
    """Print a note on a channel that was reported, and leave it for the platform, too; on the master alone."""
    if not job.hosts.is_master:
        return
    print(f"note: {note}", flush=True)
    file = job.output_folder.parent / FILE_NAME
    kept = json.loads(file.read_text(encoding="utf-8"))
    if channel_name in kept:
        kept[channel_name]["notes"] = [*kept[channel_name]["notes"], note]
        file.write_text(json.dumps(kept), encoding="utf-8")


def report(job: Job[Any], reads: Sequence[tuple[str, ChannelRead]]) -> None:
    """Print a line for each channel, and leave the same for the platform; on the master alone."""
    if not job.hosts.is_master:
        return
    for name, read in reads:
        label = [read.label] if read.label else []
        notes = (f"note: channel {name}: {note}" for note in read.notes)
        print(read.line(name), *label, *notes, sep="\n", flush=True)
    kept = {
        channel: {"line": read.line(channel)}
        | dataclasses.asdict(read)
        | {"names": [name[:LONGEST_NAME] for name in read.names[:MOST_NAMES_KEPT]]}
        for channel, read in reads
    }
    (job.output_folder.parent / FILE_NAME).write_text(json.dumps(kept), encoding="utf-8")
