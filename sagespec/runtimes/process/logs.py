"""The log of one local process as lines with their times, read from the files that its shim writes.

`ProcessRuntime.logs` and `timed_logs` use it. shim.py describes the files; this module reads them in order,
even if they are renamed meanwhile.
"""

from __future__ import annotations

import io
import mmap
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 2**20
POLL_SECONDS = 0.05


def log_lines(folder: Path, *, runs_on: Callable[[], bool], tail: int | None) -> Iterator[str]:
    """All lines of the log in `folder`, or its last `tail`; waits for new ones as long as `runs_on` returns True."""
    rest = b""
    for _, block in _blocks(folder, runs_on, tail):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield _text(line)
    if rest:
        yield _text(rest)


def timed_lines(folder: Path, *, runs_on: Callable[[], bool], tail: int | None) -> Iterator[tuple[float, str]]:
    """The same, with the time at which the end of each line was printed, in seconds since 1970."""
    rest, at, times = b"", 0.0, _Times(folder)
    for file, block in _blocks(folder, runs_on, tail):
        times.read_on(file)
        end = file.tell() - len(block)
        *lines, begun = block.split(b"\n")
        for line in lines:
            end += len(line) + 1
            yield times.of(end - 1), _text(rest + line)
            rest = b""
        if begun:
            rest, at = rest + begun, times.of(end + len(begun) - 1)
    if rest:
        yield at, _text(rest)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")


def _blocks(folder: Path, runs_on: Callable[[], bool], tail: int | None) -> Iterator[tuple[io.BufferedReader, bytes]]:
    """The log in blocks, each with the file it was read from, positioned at the end of the block."""
    try:
        file = (folder / "log").open("rb")
    except FileNotFoundError:
        return
    try:
        yield from _older_blocks(folder / "log.1", file, tail)
        while True:
            # In this order: once it has ended, nothing is written after this last read.
            ended = not runs_on()
            while block := file.read(BLOCK_BYTES):
                yield file, block
            if _has_moved(file, folder / "log"):
                file.close()
                file = (folder / "log").open("rb")
            elif ended:
                return
            else:
                time.sleep(POLL_SECONDS)
    finally:
        file.close()


def _older_blocks(older: Path, file: io.BufferedReader, tail: int | None) -> Iterator[tuple[io.BufferedReader, bytes]]:
    """What comes before where this leaves `file`, the newest log: all of `older`, or the end that `tail` needs."""
    missing = tail
    if tail is not None:
        missing = tail - _seek_to_tail(file, tail)
    if missing is not None and missing <= 0:
        return
    try:
        with older.open("rb") as before:
            if os.path.sameopenfile(before.fileno(), file.fileno()):
                return  # rotated after we opened it
            if missing is not None:
                _seek_to_tail(before, missing)
            while block := before.read(BLOCK_BYTES):
                yield before, block
    except FileNotFoundError:
        return


def _seek_to_tail(file: io.BufferedReader, count: int) -> int:
    """Seek to the start of the last `count` lines; returns how many there are, at most `count`."""
    size = os.fstat(file.fileno()).st_size
    if not size or count <= 0:
        file.seek(size)
        return 0
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
        position = size - 1 if content[size - 1] == 10 else size
        for found in range(count):
            position = content.rfind(b"\n", 0, position)
            if position < 0:
                file.seek(0)
                return found + 1
        file.seek(position + 1)
    return count


def _has_moved(file: io.BufferedReader, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class _Times:
    """When the bytes of a log were printed, as the shim recorded it for each log file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inode = 0
        self._modified_at = 0.0
        self._read_bytes = 0
        self._offsets: list[int] = []
        self._seconds: list[float] = []

    def read_on(self, file: io.BufferedReader) -> None:
        """Read all times recorded for `file` so far; the shim records a time before it writes the output."""
        status = os.fstat(file.fileno())
        self._modified_at = status.st_mtime
        if status.st_ino != self._inode:
            self._inode, self._read_bytes = status.st_ino, 0
            self._offsets.clear()
            self._seconds.clear()
        with suppress(FileNotFoundError), (self._folder / f"times.{self._inode}").open("rb") as notes:
            notes.seek(self._read_bytes)
            whole_lines = notes.read().rpartition(b"\n")[0]
            for line in whole_lines.splitlines():
                offset, seconds = line.split()
                self._offsets.append(int(offset))
                self._seconds.append(float(seconds))
            self._read_bytes += len(whole_lines) + bool(whole_lines)

    def of(self, offset: int) -> float:
        """When the byte at `offset` was printed. Without records (a full disk, a shim from an earlier release):
        when the file was last written, as nothing in it is newer."""
        index = bisect_right(self._offsets, offset)
        return self._seconds[index - 1] if index else self._modified_at
