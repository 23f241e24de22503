from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.web.server import Server
from tests.ports import free_port


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def test_it_answers_and_ends() -> None:
    server = Server(echo, "127.0.0.1", [free_port()])
    server.start()
    with urllib.request.urlopen(server.url, data=b"hello") as answer:
        assert answer.read() == b"hello"
    server.stop()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", server.port)) != 0


def test_a_port_that_is_taken_is_left_for_the_next_and_the_last_one_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, free = other.getsockname()[1], free_port()
        server = Server(echo, "127.0.0.1", [taken, free])
        assert server.port == free
        server.start()
        server.stop()
        with pytest.raises(WorldError, match=f"127.0.0.1:{taken} is taken"):
            Server(echo, "127.0.0.1", [taken])


def test_many_that_wait_hold_nobody_up() -> None:
    """62 calls are held; one more is answered meanwhile."""
    release, entered = threading.Event(), threading.Semaphore(0)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/held":
            entered.release()
            release.wait(60)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server = Server(app, "127.0.0.1", [free_port()])
    server.start()
    held = [threading.Thread(target=lambda: urllib.request.urlopen(f"{server.url}/held").read()) for _ in range(62)]
    for thread in held:
        thread.start()
    for _ in held:
        assert entered.acquire(timeout=30)
    with urllib.request.urlopen(f"{server.url}/quick", timeout=10) as answer:
        assert answer.read() == b"ok"
    release.set()
    for thread in held:
        thread.join()
    server.stop()


def test_an_app_is_told_of_headers_as_they_were_sent() -> None:
    """As variables, `x-a-b` and `x-a_b` would be one."""
    told: list[dict[str, str]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        told.append(environ["sagespec.headers"])
        start_response("200 OK", [("Content-Length", "0")])
        return []

    server = Server(app, "127.0.0.1", [free_port()])
    server.start()
    urllib.request.urlopen(urllib.request.Request(server.url, headers={"x-a-b": "1", "x-a_b": "2"})).close()
    server.stop()

    assert (told[0]["x-a-b"], told[0]["x-a_b"]) == ("1", "2")


def test_servers_that_start_at_once_take_a_port_each() -> None:
    ports = [free_port() for _ in range(16)]
    with ThreadPoolExecutor(8) as starting:
        servers = list(starting.map(lambda _: Server(_nothing, "127.0.0.1", ports, threads=1), range(8)))
    for server in servers:
        server.start()
    for server in servers:
        server.stop()
    assert len({server.port for server in servers}) == 8


def _nothing(_environ: dict[str, Any], start: Any) -> list[bytes]:
    start("204 No Content", [])
    return []
