"""What clients can make the gateway hold, and for how long: bounds of a real Envoy, set smaller than they are."""

from __future__ import annotations

import http.client
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.process.runtime import ProcessRuntime
from tests.gateway.test_gateway import Stand, wait_for
from tests.gateway.test_requests import GOOD, PATH, Models, Reply, ask, raw

HEAP = 2**28
SMALLER = {
    "LEAST_HEAP_BYTES, MOST_HEAP_BYTES": "2**28, 2**28",
    "SILENT_SECONDS": "12",
    "HEADERS_SECONDS": "2",
    "IDLE_SECONDS": "3",
}
MIB = 2**20


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("bounds")
    shutil.copytree(images_dir() / "gateway", folder / "images" / "gateway")
    serving = folder / "images" / "gateway" / "gateway_serving.py"
    text = serving.read_text()
    for name, value in SMALLER.items():
        head, _, rest = text.partition(f"{name} = ")
        assert rest, name
        text = f"{head}{name} = {value}\n{rest.partition(chr(10))[2]}"
    serving.write_text(text)
    with ProcessRuntime("test-bounds", folder / "containers", folder / "images") as runtime:
        try:
            yield Stand(runtime, "test-bounds")
        finally:
            for container in runtime.containers():
                runtime.remove(container.name)


def memory(stand: Stand) -> int:
    """Of Envoy, in bytes."""
    folder = Path(stand.runtime.base_dir(stand.gateway.launch().name)).parents[1]
    supervisor = int((folder / "process").read_bytes().split()[0])
    envoy = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0]
    resident = next(line for line in Path(f"/proc/{envoy}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) * 1024


def answer(connection: socket.socket) -> Reply:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Reply(response)


def test_bodies_that_are_never_ended_fill_no_more_than_its_share_and_leave_when_they_fall_silent(stand: Stand) -> None:
    models = Models(GOOD)
    with models.behind(stand), ExitStack() as stack:
        assert ask(stand).status == 200
        for _ in range(25):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", stand.settings.port), timeout=10))
            client.sendall(raw(f"Content-Length: {25 * MIB}"))
            try:
                for _ in range(24):
                    client.sendall(b"x" * MIB)
            except OSError:
                break  # it is full
        wait_for(lambda: ask(stand).status == 503)
        refused = ask(stand)
        assert (refused.kind, refused.headers["retry-after"]) == ("ServiceUnavailable", "1")
        assert memory(stand) < 1.5 * HEAP
        wait_for(lambda: ask(stand).status == 200)  # while they are still connected
    assert {len(body) for body in models.bodies} == {15}


def test_an_upload_that_stalls_is_cut(stand: Stand) -> None:
    models = Models(GOOD)
    with models.behind(stand), socket.create_connection(("127.0.0.1", stand.settings.port), timeout=60) as client:
        wait_for(lambda: ask(stand).status == 200)  # it may be full of what an earlier test sent
        models.bodies.clear()
        client.sendall(raw("Content-Length: 200", body=b"1,2"))
        begun = time.monotonic()
        reply = answer(client)
        assert client.recv(1) == b""
    assert (reply.status, reply.kind) == (408, "RequestTimeoutException")
    assert 5 < time.monotonic() - begun < 40
    assert models.bodies == []


def test_a_head_that_stalls_is_cut(stand: Stand) -> None:
    with socket.create_connection(("127.0.0.1", stand.settings.port), timeout=20) as client:
        client.sendall(f"POST {PATH} HTTP/1.1\r\nHost: local".encode())
        assert answer(client).status == 408


def test_a_connection_between_two_requests_is_closed_in_time(stand: Stand) -> None:
    with Models(GOOD).behind(stand), socket.create_connection(("127.0.0.1", stand.settings.port), timeout=20) as client:
        client.sendall(raw("Content-Length: 3", body=b"1,2"))
        assert answer(client).status == 200
        assert client.recv(1) == b""


def test_connections_that_say_nothing_take_little(stand: Stand) -> None:
    count = 1000
    with Models(GOOD).behind(stand), ExitStack() as stack:
        before = memory(stand)
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", stand.settings.port), timeout=10))
        assert ask(stand).status == 200
        assert memory(stand) - before < count * 64 * 1024
