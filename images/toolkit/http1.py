"""HTTP/1.1 as the front of a server speaks it: `Connection` reads one request after the other, each whole.

A request is handed on when its last byte is here, so a client that sends slowly keeps nobody but itself waiting. What
bodies hold together is bounded by `Room`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol, cast

HEAD_BYTES = 2**16
SIZE_LINE_BYTES = 1024  # of a chunk
SMALL_BYTES = 2**16  # a body up to this needs no room of its own
REQUEST_SECONDS = 120.0  # from a request's first byte to its last
DISCARDED_BODIES = 16  # of the longest length allowed: so much of one too long is read, to be answered in words
STATUS_LINES = {int(status): f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
SCRATCH = memoryview(bytearray(2**18))  # what is read is taken from here at once, in the one thread there is
OF_THE_CONNECTION = ("connection", "content-length", "date", "keep-alive", "server", "transfer-encoding")


class BadRequest(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Room:
    """What the bodies of requests may hold together. One that does not fit waits, unread, until others are answered."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._waiting: deque[Connection] = deque()

    def take(self, connection: Connection, size: int) -> bool:
        """Whether there is room now; if not, the connection is told when there is."""
        if self.held_bytes and self.held_bytes + size > self.limit_bytes:
            self._waiting.append(connection)
            return False
        self.held_bytes += size
        return True

    def give_back(self, size: int) -> None:
        self.held_bytes -= size
        for _ in range(len(self._waiting)):
            connection = self._waiting.popleft()
            if not connection.is_lost and not connection.has_got_room():
                return


class Server(Protocol):
    """What a connection needs to know of its server."""

    payload_bytes: int
    room: Room
    connections: set[Connection]
    is_stopping: bool

    def take(self, connection: Connection) -> None:
        """A request is here: `method`, `path`, `headers` and `body`. Ends with the connection's `answer`."""

    def lost(self, connection: Connection) -> None:
        """The client has gone, with or without its answer."""


class Connection(asyncio.BufferedProtocol):
    def __init__(self, server: Server) -> None:
        self.method = self.path = ""
        self.headers: dict[str, str] = {}
        self.body: bytes | bytearray = b""
        self.is_lost = False
        self.is_busy = False  # with a request that waits for its answer
        self.is_running = False  # and a worker is at it
        self._server = server
        self._buffer = bytearray()
        self._large: bytearray | None = None  # a body that is read straight to where it stays
        self._filled = 0  # so much of it
        self._reads_head = True
        self._keeps_alive = True
        self._has_ended = False  # the client sends no more
        self._has_more = False  # what has come behind a request is about to be read
        self._reserved = 0
        self._has_room = False
        self._timer: asyncio.TimerHandle | None = None

    # -- of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return SCRATCH if self._large is None else memoryview(self._large)[self._filled :]

    def buffer_updated(self, size: int) -> None:
        if self._large is not None:
            self._filled += size
            if self._filled == len(self._large):
                self._advance()
            return
        self._buffer += SCRATCH[:size]
        if not self.is_busy:
            self._advance()
        elif len(self._buffer) > HEAD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._has_ended = True
        return self.is_running or self._has_more  # half closed: that is still answered, if anybody listens

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        self._stop_timer()
        self._leave_room()
        self._server.connections.discard(self)
        self._server.lost(self)

    # -- a request

    def _advance(self) -> None:
        try:
            if self._reads_head and not self._read_head():
                return
            if self._has_room and self._read_body():
                self._stop_timer()
                self.is_busy = True
                self._server.take(self)
        except BadRequest as error:
            self._keeps_alive = False
            self.is_busy = True
            self.answer(error.status, [("content-type", "text/plain; charset=utf-8")], f"{error}\n".encode())

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 and len(self._buffer) <= HEAD_BYTES:
            self._start_timer()
            return False
        if not 0 <= end <= HEAD_BYTES:
            raise BadRequest(431, f"the request's headers are longer than {HEAD_BYTES} bytes")
        self.method, self.path, version, self.headers = parse_head(self._buffer[:end].decode("latin-1"))
        del self._buffer[: end + 4]
        self._length = length_of(self.headers)
        asked = self.headers.get("connection", "").lower()
        # Of HTTP/1.0, which has no chunks, nobody knows where others would see the end of one that comes in them.
        is_old = version == "HTTP/1.0"
        self._keeps_alive = asked == "keep-alive" and self._length is not None if is_old else "close" not in asked
        self._reads_head = False
        self._chunks = bytearray()
        self._chunk_left: int | None = None  # None before a chunk's size
        self._seen = 0
        self._take_room()
        if self.headers.get("expect", "").lower() == "100-continue" and not self._buffer:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _take_room(self) -> None:
        limit = self._server.payload_bytes
        size = limit if self._length is None else min(self._length, limit)
        self._has_room = size <= SMALL_BYTES or self._server.room.take(self, size)
        if not self._has_room:
            self._transport.pause_reading()
        elif size > SMALL_BYTES:
            self._reserved = size

    def has_got_room(self) -> bool:
        """Go on with the body if there is room for it by now."""
        self._take_room()
        if self._has_room:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._go_on)
        return self._has_room

    def _go_on(self) -> None:
        self._has_more = False
        if self.is_busy or self.is_lost:
            return
        if self._buffer:
            self._advance()
        if self._has_ended and not self.is_busy:
            self._transport.close()

    def _read_body(self) -> bool:
        whole = self._read_chunks() if self._length is None else self._read_length(self._length)
        if not whole:
            self._start_timer()
            return False
        self._reads_head = True
        if self._seen > self._server.payload_bytes:
            limit = self._server.payload_bytes
            raise BadRequest(413, f"the body is larger than {limit} bytes (SAGEMAKER_MAX_PAYLOAD_IN_MB)")
        return True

    def _read_length(self, length: int) -> bool:
        if length > self._server.payload_bytes:
            self._discard(len(self._buffer))
            return self._seen >= min(length, DISCARDED_BODIES * self._server.payload_bytes)
        if self._large is not None:
            self.body, self._large = self._large, None
            return True
        if len(self._buffer) < length:
            if length > SMALL_BYTES:
                self._large, self._filled = bytearray(length), len(self._buffer)
                self._large[: self._filled] = self._buffer
                self._buffer.clear()
            return False
        with memoryview(self._buffer) as held:  # a slice of the buffer itself would be one copy more
            self.body = bytes(held[:length])
        del self._buffer[:length]
        return True

    def _read_chunks(self) -> bool:
        """Each chunk piece by piece: it may say that it is longer than the memory."""
        while True:
            if self._chunk_left is None:
                end = self._buffer.find(b"\r\n", 0, SIZE_LINE_BYTES)
                if end < 0 and len(self._buffer) >= SIZE_LINE_BYTES:
                    raise BadRequest(400, "the size of a chunk is not a number")
                if end < 0:
                    return False
                self._chunk_left = chunk_size(self._buffer[:end])
                if self._chunk_left == 0:
                    self._chunk_left = None
                    return self._read_trailer(end)
                del self._buffer[: end + 2]
            self._read_chunk(self._chunk_left)
            if self._seen > DISCARDED_BODIES * self._server.payload_bytes:
                return True
            if self._chunk_left or len(self._buffer) < 2:
                return False
            if not self._buffer.startswith(b"\r\n"):
                raise BadRequest(400, "a chunk is longer than its size says")
            del self._buffer[:2]
            self._chunk_left = None

    def _read_chunk(self, left: int) -> None:
        part = self._buffer[:left]
        self._chunk_left = left - len(part)
        self._discard(len(part))
        if self._seen <= self._server.payload_bytes:
            self._chunks += part
        else:
            self._chunks.clear()

    def _read_trailer(self, end: int) -> bool:
        last = self._buffer.find(b"\r\n\r\n", end, HEAD_BYTES)
        if last < 0:
            if len(self._buffer) >= HEAD_BYTES:
                raise BadRequest(431, f"the request's trailer is longer than {HEAD_BYTES} bytes")
            return False
        del self._buffer[: last + 4]
        self.body = bytes(self._chunks)
        self._chunks.clear()
        return True

    def _discard(self, size: int) -> None:
        self._seen += size
        del self._buffer[:size]

    # -- its answer

    def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.send(*formed(status, headers, body))

    def send(self, head: bytes, body: bytes) -> None:
        """An answer that is `formed`."""
        self.body = b""
        self.is_running = False
        self._leave_room()
        if self.is_lost:
            return
        keeps_alive = self._keeps_alive and not self._server.is_stopping
        head += b"\r\n" if keeps_alive else b"connection: close\r\n\r\n"
        if self.method == "HEAD":
            self._transport.write(head)
        elif len(body) <= SMALL_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        if not keeps_alive:
            self._transport.close()
            return
        self.is_busy = self._has_room = False
        self._reads_head = True
        if self._buffer or self._has_ended:
            self._has_more = True
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._go_on)

    def close_if_idle(self) -> None:
        if not self.is_busy and self._reads_head:
            self._transport.close()

    def _leave_room(self) -> None:
        size, self._reserved = self._reserved, 0
        if size:
            self._server.room.give_back(size)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self._transport.abort)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def formed(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> tuple[bytes, bytes]:
    """An answer's head, which the connection ends, and its body."""
    lines = [STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown"]
    lines += [f"{name}: {one_line(value)}" for name, value in headers if name.lower() not in OF_THE_CONNECTION]
    if status < 200 or status in (204, 304):
        body = b""
    else:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, ""]).encode("latin-1", "replace"), body


def one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ") if "\n" in value or "\r" in value else value


def parse_head(head: str) -> tuple[str, str, str, dict[str, str]]:
    """Method, path, version, and headers by name in small letters; several of a name are joined by commas."""
    first, *lines = head.split("\r\n")
    # A lone one of the two is what another program might take for an end of a line.
    if "\0" in head or not head.count("\r") == head.count("\n") == len(lines):
        raise BadRequest(400, "a line of the request's head ends within")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(400, "the first line is not one of an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "a header is not as HTTP/1.1 has it")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return parts[0], parts[1].partition("?")[0], parts[2], headers


def length_of(headers: dict[str, str]) -> int | None:
    """Bytes of the body; None if it comes in chunks."""
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if encoding is not None:
        if length is not None or encoding.lower() != "chunked":
            raise BadRequest(400 if length is not None else 501, "the body's length is not as HTTP/1.1 has it")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise BadRequest(400, "Content-Length is not a number")
    return int(length)


def chunk_size(line: bytes | bytearray) -> int:
    digits = bytes(line).partition(b";")[0].strip(b" \t")
    if b"\n" in line or not 0 < len(digits) <= 12 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadRequest(400, "the size of a chunk is not a number")
    return int(digits, 16)
