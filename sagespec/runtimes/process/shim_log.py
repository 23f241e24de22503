"""What a program prints, as the shim keeps it: the files log, log.1 and times.N, which `logs` reads.

The older file goes when both are full. While somebody follows the log of a job, it stays until they have read it, so
that the program waits instead of losing lines; `shim` asks `has_room` before it reads on.
"""

# pathlib and contextlib would make every start a third slower:
# ruff: noqa: PTH105, PTH108, PTH116, PTH123, SIM105

from __future__ import annotations

import fcntl
import os
import time

from sagespec.runtimes.process.shim_record import open_own

LOG_BYTES = 10 * 2**20
READ_BYTES = 2**16  # of a program's output, at once
MARK_SECONDS = 0.01
PATIENCE_SECONDS = 30.0  # with a follower that has stopped reading
LINES = b"lines"
LONGEST_LINE = 100  # of times.N


class Log:
    """The files `log` and `log.1`, and their times. waits: for followers, at most PATIENCE_SECONDS for each file."""

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self._waits_since = 0.0
        self._ends_a_line = True
        self._lines = _lines_up_to_the_end_of("log")  # printed so far
        self._older = _opened("log.1")
        self._open()

    def has_room(self, size: int = READ_BYTES) -> bool:
        """Whether so many bytes more would cost no follower a line that they have not read."""
        if not self._waits or self._older is None or self._size + size <= LOG_BYTES:
            return True
        if not _is_read(self._older):
            return True
        self._waits_since = self._waits_since or time.monotonic()
        return time.monotonic() - self._waits_since > PATIENCE_SECONDS

    def say(self, text: str) -> None:
        """A line of our own."""
        begin = "" if self._ends_a_line else "\n"
        self.write(f"{begin}sagespec: {text}\n".encode())

    def write(self, data: bytes, *, rotates: bool = True) -> None:
        """rotates: whether the older file may go for it; if not, the log gets too long by so much."""
        # On a full disk, lines are lost but the program continues.
        try:
            if rotates and self._size + len(data) > LOG_BYTES:
                whole_lines = data.rfind(b"\n") + 1
                self._append(data[:whole_lines])
                data = data[whole_lines:]
                self._rotate()
            self._append(data)
        except OSError:
            pass

    def _open(self) -> None:
        self._file = _to_append("log")
        status = os.fstat(self._file)
        self._size = status.st_size
        # Named by inode rather than renamed along with the log, so that no reader pairs a log with the wrong times.
        self._times = _to_append(f"times.{status.st_ino}", is_empty=not self._size)
        self._marked_at = 0.0
        try:
            if not self._size:
                os.write(self._times, b"%b %d\n" % (LINES, self._lines))
        except OSError:
            pass  # a full disk

    def _rotate(self) -> None:
        try:
            os.unlink(f"times.{os.stat('log.1').st_ino}")
        except FileNotFoundError:
            pass
        os.replace("log", "log.1")
        if self._older is not None:
            os.close(self._older)
        self._older = self._file
        self._waits_since = 0.0
        os.close(self._times)
        self._open()

    def _append(self, data: bytes) -> None:
        now = time.time()
        if not data:
            return
        self._lines += data.count(b"\n")
        self._ends_a_line = data.endswith(b"\n")
        if not 0 <= now - self._marked_at < MARK_SECONDS:  # < 0: the clock was set back
            os.write(self._times, b"%d %.3f\n" % (self._size, now))
            self._marked_at = now
        while data:
            written = os.write(self._file, data)
            self._size += written
            data = data[written:]


def _to_append(name: str, *, is_empty: bool = False) -> int:
    """What is written goes nowhere if the program has put something else in the file's place."""
    try:
        return open_own(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if is_empty else 0))
    except FileNotFoundError:
        return os.open(os.devnull, os.O_WRONLY)


def _opened(path: str) -> int | None:
    try:
        return open_own(path, os.O_RDONLY)
    except OSError:
        return None


def _is_read(file: int) -> bool:
    """Whether a follower holds the file: `logs` locks what it reads, and the kernel lets go for one that was killed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def lines_before(times: str) -> int:
    """How many lines were printed before the log that `times` is of; 0 where an earlier release began it."""
    try:
        with open(open_own(times, os.O_RDONLY), "rb") as file:
            word, _, count = file.readline(LONGEST_LINE).partition(b" ")
        return int(count) if word == LINES else 0
    except (OSError, ValueError):
        return 0


def _lines_up_to_the_end_of(path: str) -> int:
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as file:
            status = os.fstat(file.fileno())
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))
    except OSError:
        return 0
    return lines + lines_before(f"times.{status.st_ino}")
