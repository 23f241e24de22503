"""The log of one job or endpoint as it comes, in a file of ours: any part of it can be read again by its position.

One thread reads the log, however many pages show it, until nobody has asked for long; whoever asks then gets it from
its start again. A page that was left alone asks for what came after the position that it had last, and so loses
nothing, while this process keeps no lines in memory.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import SagespecError

READ_BYTES = 256 * 2**10  # at most, at once
MOST_PENDING = 4096  # lines that wait to be written
LONGEST_SHOWN = 4000  # letters of a line; a download has all of them
LEFT_SECONDS = 60.0  # after so long without a reader, a log is not followed any longer

Source = Callable[[], Iterator[tuple[str, str]]]  # container and line, until the log ends


@dataclass(frozen=True)
class Line:
    """host: the last part of the container's address, as algo-1. start: where the line begins."""

    host: str
    text: str
    start: int


class Log:
    """id: tells it from an earlier log of the same name. ended: whether no line comes any more. failed: why it broke
    off. hosts: those that have printed something."""

    def __init__(self, source: Source, folder: Path, *, left_seconds: float = LEFT_SECONDS) -> None:
        self.id = secrets.token_hex(4)
        self.ended, self.failed = False, ""
        self._left_seconds, self._asked_at, self._is_left = left_seconds, time.monotonic(), False
        self.hosts: dict[str, None] = {}
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # as long as anybody reads it
        weakref.finalize(self, self._file.close)
        self._changed = threading.Condition()
        self._pending: list[str] = []
        self._size = 0
        self._source = source
        threading.Thread(target=self._pump, name="dashboard-log", daemon=True).start()

    def ask(self) -> bool:
        """Whether it is whole, or is still followed, which it then is for a while longer."""
        with self._changed:
            self._asked_at = time.monotonic()
            return not self._is_left

    def wait(self, beyond: int, seconds: float) -> None:
        """Until there is something after a position, the log has ended, or this time has passed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._pending) or self._size > beyond or self.ended, seconds)

    def catch_up(self, seconds: float, quiet_seconds: float = 0.05) -> None:
        """Until what is there already was read, as far as can be told: it ended, or nothing came for a moment."""
        with self._changed:
            waited = 0.0
            while not self.ended and waited < seconds:
                before = self._size + len(self._pending)
                self._changed.wait_for(lambda: self.ended, quiet_seconds)
                waited += quiet_seconds
                if before and before == self._size + len(self._pending):
                    return

    def read(self, start: int, most_bytes: int = READ_BYTES) -> tuple[list[Line], int]:
        """Whole lines from a position on, and the position after them."""
        self._asked_at = time.monotonic()
        size = self.size
        data = os.pread(self._file.fileno(), min(most_bytes, max(0, size - start)), start)
        end = data.rfind(b"\n") + 1
        if not end and start + len(data) < size:  # one line is longer than that
            return self.read(start, most_bytes * 4)
        lines, position = [], start
        for raw in data[:end].split(b"\n")[:-1]:
            host, _, text = raw.decode(errors="replace").partition("\t")
            lines.append(Line(host, text, position))
            position += len(raw) + 1
        return lines, start + end

    def tail(self, count: int, keeps: Callable[[Line], bool]) -> tuple[list[Line], int]:
        """The last lines that are to be kept, of the last 8 MiB, and the position after them."""
        begin, found = max(0, self.size - 8 * 2**20), list[Line]()
        position = begin
        while True:
            lines, after = self.read(position)
            if begin and position == begin:
                lines = lines[1:]  # begun before
            found = [*found, *filter(keeps, lines)][-count:]
            if after == position:
                return found, position
            position = after

    @property
    def size(self) -> int:
        with self._changed:
            self._write()
            return self._size

    def _pump(self) -> None:
        try:
            for container, text in self._source():
                host = container.rpartition("/")[2]
                if host not in self.hosts:
                    self.hosts = {**self.hosts, host: None}
                if not self._add(f"{host}\t{text}\n"):
                    break
        except SagespecError as error:
            self.failed = str(error)
        except Exception as error:  # of ours, or of the engine's client: whoever reads it is to know
            self.failed = f"{type(error).__name__}: {error}"
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _add(self, line: str) -> bool:
        """Whether more is wanted."""
        with self._changed:
            self._is_left = time.monotonic() - self._asked_at > self._left_seconds
            self._pending.append(line)
            if len(self._pending) == 1:
                self._changed.notify_all()
            elif len(self._pending) >= MOST_PENDING:
                self._write()
            return not self._is_left

    def _write(self) -> None:
        if self._pending:
            data = "".join(self._pending).encode(errors="replace")
            self._pending.clear()
            os.pwrite(self._file.fileno(), data, self._size)
            self._size += len(data)


class Logs:
    """Logs by name, each read once. At most so many are kept, the ones that were asked for last."""

    def __init__(self, most: int = 32, *, left_seconds: float = LEFT_SECONDS) -> None:
        self._most, self._left_seconds = most, left_seconds
        self._lock = threading.Lock()
        self._kept: dict[str, Log] = {}

    def get(self, name: str, source: Source, folder: Callable[[], Path]) -> Log:
        """name: another one for another log, as that of a job that was begun again."""
        with self._lock:
            log = self._kept.pop(name, None)
            if log is None or not log.ask() or (log.failed and not log.size):  # it may have come by now
                log = Log(source, folder(), left_seconds=self._left_seconds)
            self._kept[name] = log
            for old in list(self._kept)[: -self._most]:
                del self._kept[old]
            return log
