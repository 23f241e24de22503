"""What was in the channels of a job, object by object, and how it differs from what is there at another time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class DataObject:
    """One object of a channel. checksum: its ETag in a bucket, the SHA-256 of a file of this machine."""

    key: str
    size: int
    checksum: str


@dataclass(frozen=True)
class DataChange:
    """How the objects of a channel differ between two times; keys are sorted. bytes: what is there more, or less.

    is_known: False where the earlier listing is gone, so that the counts alone are known.
    """

    channel: str
    before: int
    now: int
    bytes: int
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    is_known: bool = True

    def __str__(self) -> str:
        """For people, in a line.

        >>> str(DataChange("train", 112, 135, 1288490189, ("n",) * 23, (), ()))
        'channel train: 112 -> 135 objects, 23 new, 0 changed, 0 gone, +1.2 GiB'
        """
        which = f"{len(self.new)} new, {len(self.changed)} changed, {len(self.gone)} gone, " if self.is_known else ""
        return f"channel {self.channel}: {self.before} -> {self.now} objects, {which}{_signed(self.bytes)}"

    def as_json(self) -> dict[str, Any]:
        lists = {"new": list(self.new), "changed": list(self.changed), "gone": list(self.gone)}
        counts = {"objects_before": self.before, "objects": self.now, "bytes_more": self.bytes}
        return {"channel": self.channel, **counts, **(lists if self.is_known else {})}


def data_change(channel: str, before: Iterable[DataObject], now: Iterable[DataObject]) -> DataChange:
    """How two listings of a channel differ."""
    old, new = _by_key(before), _by_key(now)
    return DataChange(
        channel,
        len(old),
        len(new),
        sum(one.size for one in new.values()) - sum(one.size for one in old.values()),
        new=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(key for key in new.keys() & old.keys() if new[key] != old[key])),
        gone=tuple(sorted(old.keys() - new.keys())),
    )


def _by_key(objects: Iterable[DataObject]) -> Mapping[str, DataObject]:
    return {one.key: one for one in objects}


def _signed(count: int) -> str:
    size, unit = float(abs(count)), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    sign = "-" if count < 0 else "+"
    return f"{sign}{size:.1f} {_UNITS[unit]}" if unit else f"{sign}{size:.0f} B"
