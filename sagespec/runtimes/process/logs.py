"""The log of one local process as lines with their times, read from the files that its shim writes.

`ProcessRuntime.logs` and `timed_logs` use it. shim.py describes the files; this module reads them in order,
even if they are renamed meanwhile. A follower locks what it reads, so that the shim keeps it. Lines that are gone all
the same are counted, and a line of our own stands in their place.
"""

from __future__ import annotations

import fcntl
import io
import mmap
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from sagespec.runtimes.process.shim_log import LINES, LONGEST_LINE, lines_before
from sagespec.runtimes.process.shim_record import open_own
from sagespec.runtimes.protocol import LONGEST_LINE_BYTES

BLOCK_BYTES = 2**20
POLL_SECONDS = 0.05


def log_lines(folder: Path, *, runs_on: Callable[[], bool], tail: int | None) -> Iterator[str]:
    """All lines of the log in `folder`, or its last `tail`; waits for new ones as long as `runs_on` returns True."""
    rest = b""
    for _, block in _blocks(folder, runs_on, tail):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield _text(line)
        if len(rest) > LONGEST_LINE_BYTES:
            yield _text(rest)
            rest = b""
    if rest:
        yield _text(rest)


def timed_lines(folder: Path, *, runs_on: Callable[[], bool], tail: int | None) -> Iterator[tuple[float, str]]:
    """The same, with the time at which the end of each line was printed, in seconds since 1970."""
    rest, at, times = b"", 0.0, _Times(folder)
    for file, block in _blocks(folder, runs_on, tail):
        times.read_on(file)
        end = max(0, file.tell() - len(block))
        *lines, begun = block.split(b"\n")
        for line in lines:
            end += len(line) + 1
            yield times.of(end - 1), _text(rest + line)
            rest = b""
        if begun:
            rest, at = rest + begun, times.of(end + len(begun) - 1)
        if len(rest) > LONGEST_LINE_BYTES:
            yield at, _text(rest)
            rest = b""
    if rest:
        yield at, _text(rest)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")


def _blocks(folder: Path, runs_on: Callable[[], bool], tail: int | None) -> Iterator[tuple[io.BufferedReader, bytes]]:
    """The log in blocks, each with the file it was read from, positioned at the end of the block."""
    follows = runs_on()
    with suppress(FileNotFoundError), _Files(folder, tail, follows=follows) as files:
        ends_a_line = True
        while True:
            # In this order: once it has ended, nothing is written after this last read; nor is it to a moved file.
            ended = not (follows and runs_on())
            has_moved = files.has_moved()
            if files.gone:
                begin = b"" if ends_a_line else b"\n"
                yield files.now, begin + b"sagespec: %d lines were printed here that are no longer kept\n" % files.gone
            while block := files.read():
                yield files.now, block
                ends_a_line = block.endswith(b"\n")
            if has_moved:
                files.go_on()
            elif ended:
                return
            else:
                time.sleep(POLL_SECONDS)


class _Files:
    """The files of a log, one after the other. now: the one being read. gone: how many lines before it are in none.

    tail: begin where the last so many lines do; None: with the oldest. follows: keep the shim from removing a file
    that has not been read.
    """

    def __init__(self, folder: Path, tail: int | None, *, follows: bool) -> None:
        self._folder = folder
        self._follows = follows
        self._ahead = self._open("log")
        self.now, self.gone, self._lines = self._ahead, 0, 0
        missing = tail if tail is None else tail - _seek_to_tail(self._ahead, tail)
        if missing is None or missing > 0:
            self._begin_with_the_older(missing)
        if tail is None:
            self._enter(self.now)
        else:
            position = self.now.tell()
            self.now.seek(0)
            self._lines = self._lines_before(self.now) + self.now.read(position).count(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.now.close()
        self._ahead.close()

    def read(self) -> bytes:
        """The next block of the file; b"" at its end."""
        self.gone = 0
        block = self.now.read(BLOCK_BYTES)
        self._lines += block.count(b"\n")
        return block

    def has_moved(self) -> bool:
        """Whether another file is written to by now."""
        return self.now is not self._ahead or not _is_same(self.now, self._folder / "log")

    def go_on(self) -> None:
        """Begin the next file, the oldest that there is after this one."""
        if self.now is self._ahead:
            # Ours is kept until we leave it, so that what is opened here follows it.
            self._ahead = self._open("log" if _is_same(self.now, self._folder / "log.1") else "log.1")
        self.now.close()
        self.now = self._ahead
        self._enter(self.now)

    def _begin_with_the_older(self, missing: int | None) -> None:
        try:
            older = self._open("log.1")
        except FileNotFoundError:
            return
        if os.path.sameopenfile(older.fileno(), self._ahead.fileno()):
            older.close()  # rotated after we opened it
            return
        self.now = older
        if missing is not None:
            _seek_to_tail(older, missing)

    def _enter(self, file: io.BufferedReader) -> None:
        self.gone = max(0, self._lines_before(file) - self._lines)
        self._lines += self.gone

    def _lines_before(self, file: io.BufferedReader) -> int:
        return lines_before(str(self._folder / f"times.{os.fstat(file.fileno()).st_ino}"))

    def _open(self, name: str) -> io.BufferedReader:
        file = os.fdopen(open_own(str(self._folder / name), os.O_RDONLY), "rb")
        if self._follows:
            fcntl.flock(file, fcntl.LOCK_SH)
        return file


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


def _is_same(file: io.BufferedReader, path: Path) -> bool:
    """Whether the open file is the one at `path`; also when there is none: it goes with its container."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return True


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
        name = f"{self._folder}/times.{self._inode}"
        with suppress(FileNotFoundError), os.fdopen(open_own(name, os.O_RDONLY), "rb") as notes:
            notes.seek(self._read_bytes)
            while (line := notes.readline(LONGEST_LINE)).endswith(b"\n"):
                self._read_bytes += len(line)
                with suppress(ValueError):  # the program may have written there
                    offset, seconds = line.split()
                    if offset != LINES:
                        self._add(int(offset), float(seconds))

    def _add(self, offset: int, seconds: float) -> None:
        self._offsets.append(offset)
        self._seconds.append(seconds)

    def of(self, offset: int) -> float:
        """When the byte at `offset` was printed. Without records (a full disk, a shim from an earlier release):
        when the file was last written, as nothing in it is newer."""
        index = bisect_right(self._offsets, offset)
        return self._seconds[index - 1] if index else self._modified_at
