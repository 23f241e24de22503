"""The front and its channels to workers, without a server: what crosses them, whom it wakes, and who gets the next."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from toolkit.channel import Frames, framed, pair, received, send
from toolkit.front import Front, Worker
from toolkit.http1 import Connection
from toolkit.serving import Answer
from toolkit.workers import answered

from tests.images.test_http1 import REQUESTS, Wire, receive

FRAMES = [(b"", b""), (b"head", b""), (b"", b"body"), (b"h" * 300, b"b" * 70_000), (b"last", b"1")]


@pytest.mark.parametrize("size", [1, 7, 12, 13, 300, 70_000, 10**6])
def test_frames_are_the_same_in_whatever_pieces_they_come(size: int) -> None:
    data = b"".join(part for frame in FRAMES for part in framed(*frame))
    frames = Frames()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [frame for piece in pieces for frame in frames.of(piece)] == FRAMES


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = pair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.skipif(sys.platform != "linux", reason="counts switches as Linux does")
def test_a_worker_that_waits_is_not_woken_when_its_answer_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    switches = []

    def work() -> None:
        status = Path(f"/proc/self/task/{threading.get_native_id()}/status")
        for head, _ in received(theirs):
            line = next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))
            switches.append(int(line.split()[1]))
            send(theirs, head)

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(100):
        send(ours, b"x")
        time.sleep(0.002)
        ours.recv(100)
        time.sleep(0.002)
    ours.shutdown(socket.SHUT_WR)
    worker.join()
    each = [after - before for before, after in pairwise(switches)]
    assert sorted(each)[len(each) // 2] == 1


def test_a_worker_that_answers_too_late_gets_no_other_request() -> None:
    async def waiting() -> tuple[bytes, bytes, bool]:
        with (
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
            socket.socket() as no,
        ):
            front = Front(("", 0), no, workers=2, payload_bytes=2**20, seconds=1)
            worker, channel = Worker(front, process.pid), Wire()
            worker.connection_made(channel)
            worker.data_received(b"".join(framed(b"")))
            clients = [Wire(), Wire()]
            for client in clients:
                connection = Connection(front)
                connection.connection_made(client)
                receive(connection, REQUESTS[0])
            worker.end()
            asked = channel.written
            worker.data_received(b"".join(framed(b"HTTP/1.1 200 OK\r\n", b"")))
            return clients[0].written[:12], clients[1].written, channel.written == asked

    assert asyncio.run(waiting()) == (b"HTTP/1.1 500", b"", True)


def test_headers_that_are_no_texts_are_a_fault_of_the_model() -> None:
    head, body = answered(lambda _environ: Answer(200, [("x-a", 5)], b"1"), {}, b"")  # type: ignore[list-item]
    assert (head[:12], b"TypeError" in body) == (b"HTTP/1.1 500", True)
