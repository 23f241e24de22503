"""A command in a container as a connection: its input, and its output as the engine sends it, in frames of two streams.

The porter carries requests by it.
"""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import requests
from docker.errors import APIError

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import ANSWER_SECONDS

PIECE_BYTES = 1 << 18
_STDERR = 2
_MOST_COMPLAINTS = 2000


class Unreached(WorldError):
    """The courier was not reached; nothing has been asked of it."""


class Command:
    """A command in a container: its input, and its output without the engine's frames."""

    def __init__(self, engine: Any, execution: str) -> None:
        # Not through the SDK's own method, which may lose the first bytes: it reads past a buffer that has them.
        self._response = engine.post(
            f"{engine.base_url}/v{engine.api_version}/exec/{execution}/start",
            json={"Tty": False, "Detach": False},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            stream=True,
            timeout=ANSWER_SECONDS,
        )
        if not self._response.ok and self._response.status_code != requests.codes.switching_protocols:
            raise APIError(self._response.text, response=self._response, explanation=self._response.text)
        stream = self._response.raw._fp.fp
        self._connection = getattr(stream, "channel", None) or stream.raw._sock  # the former over ssh
        self._connection.settimeout(ANSWER_SECONDS)
        self.output = Output(stream)
        self._reader = io.BufferedReader(self.output, PIECE_BYTES)

    def send(self, body: Iterable[bytes]) -> None:
        try:
            for piece in body:
                if piece:
                    self._connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):  # it has its answer already, which says why
            pass

    def as_socket(self) -> Any:
        return SimpleNamespace(makefile=lambda _mode: self._reader)

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # which ends the command, if it has not ended
        self._response.close()


class Output(io.RawIOBase):
    """Standard output; standard error is kept apart."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._left = stream, 0
        self._complaints = bytearray()

    def readable(self) -> bool:
        return True

    @property
    def said(self) -> str:
        """The last line of standard error."""
        return self._complaints.decode(errors="replace").replace("+\n", "").strip().rpartition("\n")[2]

    def wait_connected(self, name: str) -> None:
        """Until the command has reached the courier `name`; Unreached when it has not."""
        # The sign on standard error; or what is answered, which may overtake it.
        while not self._left and not self._complaints.startswith(b"+\n"):
            if not self._next_frame():
                raise Unreached(
                    f"{name} cannot be reached: {self.said or 'the porter ended'}",
                    fix="`sagespec doctor` shows which nodes are there, and whether they reach each other",
                )

    def _next_frame(self) -> bool:
        """Whether there was one."""
        head = self._stream.read(8)
        if len(head) < 8:
            return False
        kind, size = struct.unpack(">BxxxL", head)
        if kind == _STDERR:
            said = self._stream.read(size)
            if said.strip():  # else it says only that it lives
                self._complaints += said[: max(0, _MOST_COMPLAINTS - len(self._complaints))]
        else:
            self._left = size
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            if not self._next_frame():
                return 0
        count = int(self._stream.readinto1(memoryview(buffer)[: self._left]))
        self._left = self._left - count if count else 0
        return count
