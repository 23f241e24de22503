"""The lines of one log, numbered, each with its time: in a file of our own, so that numbers and times stay what they
are when the container goes and the store has its log, or when the control plane is killed.

Clients continue from the time of a line and how many of that time they have seen, so neither may change.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sagespec.private import make_folder

_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Line:
    """at: milliseconds since 1970. number: from 0, in its log."""

    number: int
    at: int
    text: str


class Spool:
    """file: of earlier lines and of those to come; an unfinished last one is cut off. Any thread may read or add."""

    def __init__(self, file: Path) -> None:
        make_folder(file.parent)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self._starts, self._times = array("Q"), array("Q")  # of each line: where it begins in the file, and its time
        self._end = 0
        self._grown = threading.Condition()
        self._read_back()

    def _read_back(self) -> None:
        with open(self._file.fileno(), "rb", closefd=False, buffering=_BLOCK_BYTES) as written:
            for line in written:
                at, _, _ = line.partition(b" ")
                if not line.endswith(b"\n") or not at.isdigit():
                    break
                self._note(len(line), int(at))
        self._file.truncate(self._end)

    def _note(self, size: int, at: int) -> None:
        self._starts.append(self._end)
        self._times.append(at)
        self._end += size

    def __len__(self) -> int:
        return len(self._times)

    @property
    def first_at(self) -> int | None:
        return self._times[0] if self._times else None

    @property
    def last_at(self) -> int | None:
        return self._times[-1] if self._times else None

    def add(self, at: int, text: str) -> None:
        """A line, which comes after all others, whatever its time."""
        with self._grown:
            at = max(at, self._times[-1]) if self._times else max(at, 0)
            line = f"{at} {text}".encode(errors="replace").replace(b"\n", b" ") + b"\n"
            os.pwrite(self._file.fileno(), line, self._end)
            self._note(len(line), at)
            self._grown.notify_all()

    def number_at(self, at: int) -> int:
        """Of the first line that is no older."""
        return bisect_left(self._times, at)

    def lines(self, begin: int, end: int) -> Iterator[Line]:
        """Those from `begin` up to `end`."""
        end = min(end, len(self._times))
        while begin < end:
            after = min(end, bisect_left(self._starts, self._starts[begin] + _BLOCK_BYTES, begin + 1))
            stop = self._starts[after] if after < len(self._starts) else self._end
            block = os.pread(self._file.fileno(), stop - self._starts[begin], self._starts[begin])
            for number, line in enumerate(block.split(b"\n")[: after - begin], start=begin):
                at, _, text = line.partition(b" ")
                yield Line(number, int(at), text.decode(errors="replace"))
            begin = after

    def wait(self, seen: int, seconds: float) -> None:
        """Until there are more than `seen` lines, or for so long."""
        end = time.monotonic() + seconds
        with self._grown:
            while len(self._times) <= seen and (left := end - time.monotonic()) > 0:
                self._grown.wait(left)

    def close(self) -> None:
        self._file.close()
