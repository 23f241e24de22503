"""The two pipes of a program, for the shim: lines of one are never torn by the other's.

A line goes to the log when it ends. One that goes back again and again (`\\r`: a progress bar) is ended in the log once
a second, so that it is seen while it runs; one that gets too long is ended, too.
"""

from __future__ import annotations

import os
import time

from sagespec.runtimes.process.shim_log import READ_BYTES, Log
from sagespec.runtimes.process.shim_masks import masked, secrets_given

HELD_BYTES = 2 * 2**20  # of a line that has not ended
BAR_SECONDS = 1.0


class Streams:
    """What arrives in `pipes`, written to `log` as whole lines, without secrets."""

    def __init__(self, log: Log, pipes: tuple[int, int]) -> None:
        self._log = log
        self._pipes = pipes
        self._secrets = secrets_given()
        self.open = list(pipes)
        self._begun = {pipe: bytearray() for pipe in pipes}  # the line that has not ended
        self._since = dict.fromkeys(pipes, 0.0)  # when it began

    def read(self, pipe: int) -> None:
        """What is there in it now; BlockingIOError for nothing."""
        data = os.read(pipe, READ_BYTES)
        if data:
            self._take(pipe, data)
        else:
            self.open.remove(pipe)

    def finish(self) -> None:
        """What is left when the program has ended; a process that left its group may still hold the pipes."""
        for pipe in self._pipes:
            try:
                while pipe in self.open:
                    self.read(pipe)
            except BlockingIOError:
                pass
            os.close(pipe)
        self._write(b"\n".join(bytes(rest) for rest in self._begun.values() if rest))

    def _take(self, pipe: int, data: bytes) -> None:
        begun = self._begun[pipe]
        if not begun:
            self._since[pipe] = time.monotonic()
        line_end = data.rfind(b"\n") + 1
        if line_end:
            self._write(bytes(begun) + data[:line_end])
            begun.clear()
            self._since[pipe] = time.monotonic()
        begun += data[line_end:]
        if len(begun) > HELD_BYTES:
            self._end_line(pipe, len(begun))
        elif b"\r" in data and time.monotonic() - self._since[pipe] >= BAR_SECONDS:
            back = begun.rfind(b"\r", 0, -1) + 1  # the last byte may be the first half of \r\n
            if begun[:back].strip():
                self._end_line(pipe, back)

    def _end_line(self, pipe: int, size: int) -> None:
        begun = self._begun[pipe]
        self._write(bytes(begun[:size]) + b"\n")
        del begun[:size]
        self._since[pipe] = time.monotonic()

    def _write(self, data: bytes) -> None:
        data = masked(data, self._secrets)
        self._log.write(data, rotates=self._log.has_room(len(data)))
