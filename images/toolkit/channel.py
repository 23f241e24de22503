"""Frames between the front and a worker, which are forks of one process: a plain object and bytes, either way."""

from __future__ import annotations

import marshal
import socket
import struct
from collections.abc import Iterator
from typing import Any

SIZES = struct.Struct("!IQ")
READ_BYTES = 2**18
BUFFER_BYTES = 2**20
TOGETHER_BYTES = 2**16  # up to this, a copy costs less than another call


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel, which takes most requests in one piece."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)  # or as much as the system allows
    return ends


def framed(said: dict[str, Any], body: bytes | bytearray) -> tuple[bytes | bytearray, ...]:
    """What to send, one part after the other."""
    text = marshal.dumps(said)
    head = SIZES.pack(len(text), len(body)) + text
    return (head + body,) if len(body) <= TOGETHER_BYTES else (head, body)


class Frames:
    """Puts frames together again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def of(self, data: bytes) -> Iterator[tuple[Any, bytes]]:
        self._buffer += data
        while len(self._buffer) >= SIZES.size:
            text, body = SIZES.unpack_from(self._buffer)
            start, end = SIZES.size + text, SIZES.size + text + body
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as held:
                said = marshal.loads(held[SIZES.size : start])  # noqa: S302 (a fork of ours wrote it)
                frame = said, bytes(held[start:end])
            del self._buffer[:end]
            yield frame


def send(channel: socket.socket, said: dict[str, Any], body: bytes = b"") -> None:
    for part in framed(said, body):
        channel.sendall(part)


def received(channel: socket.socket) -> Iterator[tuple[Any, bytes]]:
    """The frames that come, until the other end is closed."""
    frames = Frames()
    while data := channel.recv(READ_BYTES):
        yield from frames.of(data)
