"""What a program prints, as the shim keeps it: the files log, log.1 and times.N, which `logs` reads.

The older file goes when both are full.
"""

# pathlib and contextlib would make every start a third slower:
# ruff: noqa: PTH105, PTH108, PTH116, SIM105

from __future__ import annotations

import os
import time

from sagespec.runtimes.process.shim_record import PRIVATE

LOG_BYTES = 10 * 2**20
READ_BYTES = 2**16  # of a program's output, at once
MARK_SECONDS = 0.01


class Log:
    """The files `log` and `log.1`, and their times."""

    def __init__(self) -> None:
        self._ends_a_line = True
        self._open()

    def say(self, text: str) -> None:
        """A line of our own."""
        begin = "" if self._ends_a_line else "\n"
        self.write(f"{begin}sagespec: {text}\n".encode())

    def write(self, data: bytes) -> None:
        # On a full disk, lines are lost but the program continues.
        try:
            if self._size + len(data) > LOG_BYTES:
                whole_lines = data.rfind(b"\n") + 1
                self._append(data[:whole_lines])
                data = data[whole_lines:]
                self._rotate()
            self._append(data)
        except OSError:
            pass

    def _open(self) -> None:
        self._file = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
        status = os.fstat(self._file)
        self._size = status.st_size
        # Named by inode rather than renamed along with the log, so that no reader pairs a log with the wrong times.
        times = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if self._size else os.O_TRUNC)
        self._times = os.open(f"times.{status.st_ino}", times, PRIVATE)
        self._marked_at = 0.0

    def _rotate(self) -> None:
        try:
            os.unlink(f"times.{os.stat('log.1').st_ino}")
        except FileNotFoundError:
            pass
        os.replace("log", "log.1")
        os.close(self._file)
        os.close(self._times)
        self._open()

    def _append(self, data: bytes) -> None:
        now = time.time()
        if not data:
            return
        self._ends_a_line = data.endswith(b"\n")
        if not 0 <= now - self._marked_at < MARK_SECONDS:  # < 0: the clock was set back
            os.write(self._times, b"%d %.3f\n" % (self._size, now))
            self._marked_at = now
        while data:
            written = os.write(self._file, data)
            self._size += written
            data = data[written:]
