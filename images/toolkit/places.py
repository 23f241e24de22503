"""Where something stands in a channel's data, in the words of whoever owns the data.

As in `channel train: train.csv:18, column 3 (income)`: the file counts from the channel's folder, not from the
container's, so that the place is the same in every runtime and can be opened where the data came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.training import Channel


@dataclass(frozen=True)
class Place:
    """A file of a channel. before_row: what stands between its name and the number of a row."""

    channel: str
    file: str
    before_row: str = ":"

    @classmethod
    def of(cls, channel: Channel, path: Path, before_row: str = ":") -> Place:
        name = path.name if channel.is_pipe else path.relative_to(channel.folder).as_posix()
        return cls(channel.name, name, before_row)

    def __str__(self) -> str:
        return f"channel {self.channel}: {self.file}"

    def row(self, number: int) -> str:
        return f"{self}{self.before_row}{number}"

    def field(self, row: int, noun: str, number: int, name: str = "") -> str:
        return f"{self.row(row)}, {noun} {number}" + (f" ({name})" if name else "")
