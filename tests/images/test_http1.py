"""The front's HTTP, without a server: in whatever pieces bytes come, they are the same requests, in bounded memory."""

from __future__ import annotations

import asyncio
import os
import random
import re
from typing import Any

import pytest
from toolkit.http1 import HEAD_BYTES, Connection, Room

COUNT = int(os.environ.get("FUZZ_BODIES", "1000"))
PAYLOAD_BYTES = 2**17  # more than needs no room
POST = b"POST /invocations HTTP/1.1\r\nContent-Type: text/csv\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = [
    POST + b"Content-Length: 3\r\n\r\n1,2",
    POST + b"Content-Length: 70000\r\n\r\n" + b"1" * 70_000,
    CHUNKED + b"2\r\n1,\r\n1;a=b\r\n2\r\n0\r\nX: y\r\n\r\n",
    CHUNKED + b"fff\r\n" + b"2" * 0xFFF + b"\r\n0\r\n\r\n",
    b"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
PIECES = [b"", b"\r\n", b"\n", b"\r", b"\0", b"\xff", b":", b" ", b";", b"0", b"9" * 15, b"ffffffffffff", b"\r\n\r\n"]
PIECES += [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"\r\n0\r\n\r\n"]


class Wire(asyncio.Transport):
    """What was written, until it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Asked:
    """A server that answers at once, and keeps what it was asked."""

    payload_bytes = PAYLOAD_BYTES
    is_stopping = False

    def __init__(self) -> None:
        self.room = Room(4 * PAYLOAD_BYTES)
        self.connections: set[Connection] = set()
        self.requests: list[tuple[str, str, bytes]] = []

    def take(self, connection: Connection) -> None:
        self.requests.append((connection.method, connection.path, bytes(connection.body)))
        connection.answer(200, [], b"")

    def lost(self, connection: Connection) -> None: ...


def receive(connection: Connection, data: bytes) -> None:
    """As asyncio does it: into the buffer that the connection gives, until there is no more."""
    while data:
        buffer = connection.get_buffer(-1)
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        data = data[size:]
        connection.buffer_updated(size)


async def outcome(pieces: list[bytes]) -> tuple[list[tuple[str, str, bytes]], list[int]]:
    """The requests that these bytes are, and the statuses of the answers."""
    server, wire = Asked(), Wire()
    connection = Connection(server)
    connection.connection_made(wire)
    for piece in pieces:
        if wire.is_closed:
            break
        receive(connection, piece)
        while connection._buffer and not connection.is_busy and not wire.is_closed:
            before = len(connection._buffer)
            await asyncio.sleep(0)
            if len(connection._buffer) == before:
                break
        held = len(connection._buffer) + len(getattr(connection, "_chunks", b""))
        assert held <= PAYLOAD_BYTES + HEAD_BYTES + len(piece)
    connection.connection_lost(None)
    assert server.room.held_bytes == 0
    return server.requests, [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", wire.written)]


def mutated(chance: random.Random) -> bytes:
    data = bytearray(b"".join(chance.choices(REQUESTS, k=chance.randint(1, 3))))
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(data)) if chance.random() < 0.3 else chance.randrange(min(250, len(data)))
        data[at : at + chance.randint(0, 3)] = chance.choice(PIECES)
    return bytes(data)


def split(chance: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(chance.choices(range(len(data) + 1), k=chance.randint(1, 20)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if end > start]


def test_a_request_is_the_same_in_whatever_pieces_it_comes() -> None:
    async def fuzz() -> None:
        chance = random.Random(7)
        for _ in range(COUNT):
            data = mutated(chance)
            whole = await outcome([data])
            assert await outcome(split(chance, data)) == whole, data[:1000]
            assert set(whole[1]) <= {100, 200, 400, 413, 431, 501}, data[:1000]

    asyncio.run(fuzz())


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + b"3\r\n1,2XX0\r\n\r\n",
        CHUNKED + b"3;a\n\r\n1,2\r\n0\r\n\r\n",
        CHUNKED + b"\n3\r\n1,2\r\n0\r\n\r\n",
        POST + b"X: a\rContent-Length: 3\r\n\r\n1,2",
        b"POST /a\nb HTTP/1.1\r\n\r\n",
    ],
)
def test_what_another_program_might_read_otherwise_is_refused(data: bytes) -> None:
    assert asyncio.run(outcome([data])) == ([], [400])


def test_a_chunk_that_says_it_is_endless_is_not_kept() -> None:
    pieces = [CHUNKED + b"ffffffffff\r\n", *[b"1" * 2**16] * 33]
    assert asyncio.run(outcome(pieces)) == ([], [413])


def test_chunks_of_http_1_0_are_the_last_thing_on_a_connection() -> None:
    data = CHUNKED.replace(b"1.1", b"1.0\r\nConnection: keep-alive") + b"1\r\n1\r\n0\r\n\r\n"
    assert asyncio.run(outcome([data * 2])) == ([("POST", "/invocations", b"1")], [200])


@pytest.mark.parametrize("cut", [1, 60, 100, 100_000, 300_000, 300_120])
def test_a_large_body_is_whole_wherever_it_is_cut_and_what_follows_too(cut: int) -> None:
    async def asked() -> list[tuple[str, str, bytes]]:
        server, wire = Asked(), Wire()
        server.payload_bytes = len(body)
        server.room = Room(4 * len(body))
        connection = Connection(server)
        connection.connection_made(wire)
        for piece in (data[:cut], data[cut:]):
            receive(connection, piece)
            for _ in range(4):
                await asyncio.sleep(0)
        return server.requests

    body = bytes(range(251)) * 1200
    data = b"POST /invocations HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    data += b"GET /ping HTTP/1.1\r\n\r\n"
    assert asyncio.run(asked()) == [("POST", "/invocations", body), ("GET", "/ping", b"")]


def test_a_client_that_ends_between_two_requests_gets_both_answers() -> None:
    async def answered() -> bool:
        server, wire = Asked(), Wire()
        connection = Connection(server)
        connection.connection_made(wire)
        receive(connection, REQUESTS[0] * 2)
        assert len(server.requests) == 1
        stays_open = connection.eof_received()
        while not wire.is_closed:
            await asyncio.sleep(0)
        assert len(server.requests) == 2
        return stays_open

    assert asyncio.run(asyncio.wait_for(answered(), 5))
