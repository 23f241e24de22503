"""Requests as no client of ours sends them: what they cost, and what becomes of them."""

from __future__ import annotations

import http.client
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from sagespec.web.requests import HEAD_SECONDS
from sagespec.web.server import THREADS, Server
from tests.ports import free_port

BODY_BYTES = 64 * 2**20
MOST_KEPT_BYTES = 8 * 2**20


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def server(seen: list[dict[str, Any]]) -> Iterator[Server]:
    """/read answers with the size of the body; all else is refused, and its body not read."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ)
        size = 0
        if environ["PATH_INFO"] == "/read":
            while block := environ["wsgi.input"].read(2**16):
                size += len(block)
        start_response("200 OK" if size else "403 Forbidden", [("Content-Length", str(len(str(size))))])
        return [str(size).encode()]

    server = Server(app, "127.0.0.1", [free_port()])
    server.start()
    yield server
    server.stop()


def connected(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)


def one_chunk(size: int) -> Iterator[bytes]:
    yield f"{size:x}\r\n".encode()
    for _ in range(size // 2**20):
        yield bytes(2**20)
    yield b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("path", ["/refused", "/read"])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_no_body_is_kept_in_memory(server: Server, path: str, is_chunked: bool) -> None:
    connection = connected(server)
    tracemalloc.start()
    connection.putrequest("PUT", path)
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for piece in one_chunk(BODY_BYTES):
            connection.send(piece)
    else:
        connection.putheader("Content-Length", str(BODY_BYTES))
        connection.endheaders()
        for _ in range(BODY_BYTES // 2**20):
            connection.send(bytes(2**20))
    answer = connection.getresponse()
    said = answer.read()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (answer.status, said) == ((200, str(BODY_BYTES).encode()) if path == "/read" else (403, b"0"))
    assert most < MOST_KEPT_BYTES
    connection.request("GET", "/next")  # on the same connection: nothing of the body is taken for a request
    assert connection.getresponse().read() == b"0"
    connection.close()


@pytest.mark.parametrize(
    "text",
    [
        b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rX-C: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(
    server: Server, text: bytes, seen: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(text)
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert not seen
    assert not capfd.readouterr().err


def test_a_body_that_is_cut_ends_nothing_but_its_request(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"PUT /refused HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 403 ")
        while client.recv(100):
            pass  # closed: where the next request begins cannot be told
    assert not capfd.readouterr().err


def test_a_header_with_an_underscore_is_not_taken_for_one_of_a_proxy(
    server: Server, seen: list[dict[str, Any]]
) -> None:
    connection = connected(server)
    connection.putrequest("GET", "/")
    connection.putheader("X-Forwarded-User", "ann")
    connection.putheader("X_Forwarded_User", "root")
    connection.putheader("X_Other", "root")
    connection.endheaders()
    connection.getresponse().read()
    connection.close()
    assert seen[0]["HTTP_X_FORWARDED_USER"] == "ann"
    assert "HTTP_X_OTHER" not in seen[0]
    assert seen[0]["sagespec.headers"]["x_other"] == "root"


def test_clients_that_fall_silent_inside_a_head_take_no_thread_for_long(server: Server) -> None:
    """Twice as many as there are threads; who asks after them is answered."""
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2 * THREADS)]
    try:
        for one in silent:
            one.sendall(b"GET / HT")
        started = time.monotonic()
        asking = connected(server)
        asking.request("GET", "/")
        assert asking.getresponse().status == 403
        asking.close()
        assert time.monotonic() - started < 5 * HEAD_SECONDS
    finally:
        for one in silent:
            one.close()
