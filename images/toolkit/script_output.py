"""What a script prints: passed on as it comes, its end kept for the reason of a failure."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import IO

KEPT_BYTES = 64 * 1024  # of each stream
LEFT_OPEN_SECONDS = 2.0
BAR_SECONDS = 1.0


@dataclass
class Printed:
    """The end of both streams of a script."""

    output: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)

    @property
    def output_text(self) -> str:
        return self.output.decode(errors="replace")

    @property
    def errors_text(self) -> str:
        return self.errors.decode(errors="replace")


def pass_on(source: IO[bytes], target: int, kept: bytearray) -> threading.Thread:
    """A thread that writes everything from `source` to `target` as it arrives, and keeps the end of it."""
    thread = threading.Thread(target=_pass_on, args=(source.fileno(), target, kept), daemon=True)
    thread.start()
    return thread


def wait_for(threads: list[threading.Thread]) -> None:
    """Until all is passed on; a process that the script left behind may hold a pipe."""
    give_up_at = time.monotonic() + LEFT_OPEN_SECONDS
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))


def _pass_on(source: int, target: int, kept: bytearray) -> None:
    bars = Bars()
    while block := os.read(source, 65536):
        kept += block
        del kept[:-KEPT_BYTES]
        rest = memoryview(bars.ended(block))
        while rest:
            rest = rest[os.write(target, rest) :]


class Bars:
    """Ends lines that go back to their beginning (`\\r`: a progress bar) once a second. An engine shows whole lines
    alone, so that a bar would be seen when it is done."""

    def __init__(self) -> None:
        self._has_text = False  # the line that has not ended
        self._since = 0.0
        self._went_back = False  # the last byte was \r; with the next it may be \r\n

    def ended(self, block: bytes) -> bytes:
        """The block, with a line end after the last `\\r` where its line has been there for long enough."""
        now = time.monotonic()
        begin = block.rfind(b"\n") + 1
        if begin:
            self._has_text = False
        back = block.rfind(b"\r", begin, -1) + 1
        goes_back = bool(back) or (self._went_back and not begin)
        if not self._has_text:
            self._since = now
        self._went_back = block.endswith(b"\r")
        if goes_back and self._has_text and now - self._since >= BAR_SECONDS:
            self._since = now
            self._has_text = bool(block[back:].strip())
            return block[:back] + b"\n" + block[back:]
        self._has_text = self._has_text or bool(block[begin:].strip())
        return block
