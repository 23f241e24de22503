"""Frames between the front and a worker, which are forks of one process: a head and a body, either way."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable, Iterator

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


def framed(head: bytes, body: bytes | bytearray = b"") -> tuple[bytes | bytearray, ...]:
    """What to send, one part after the other."""
    start = SIZES.pack(len(head), len(body)) + head
    return (start + body,) if len(body) <= TOGETHER_BYTES else (start, body)


class Frames:
    """Puts frames together again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def of(self, data: bytes) -> Iterable[tuple[bytes, bytes]]:
        if not self._buffer and len(data) >= SIZES.size:
            head, body = SIZES.unpack_from(data)
            if len(data) == SIZES.size + head + body:  # one, and whole: so most come
                return ((data[SIZES.size : SIZES.size + head], data[SIZES.size + head :]),)
        self._buffer += data
        return self._whole()

    def _whole(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self._buffer) >= SIZES.size:
            head, body = SIZES.unpack_from(self._buffer)
            start, end = SIZES.size + head, SIZES.size + head + body
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as held:
                frame = bytes(held[SIZES.size : start]), bytes(held[start:end])
            del self._buffer[:end]
            yield frame


def send(channel: socket.socket, head: bytes, body: bytes = b"") -> None:
    for part in framed(head, body):
        channel.sendall(part)


def received(channel: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """The frames that come, until the other end is closed."""
    frames = Frames()
    # Whoever waits in recv is woken too when the other end has read what was sent before, for there is room again.
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    while waiting.poll() and (data := channel.recv(READ_BYTES)):
        yield from frames.of(data)
