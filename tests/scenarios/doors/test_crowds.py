"""Thousands of connections, and requests that never end, keep nobody out who has a key."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scenarios.doors.door import PATH, SHOP_KEY, Door, open_door

CROWD = 10_000
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {SHOP_KEY}\r\n".encode()
OWN_FILES = 100  # descriptors that the gateway keeps for itself; each connection may need two


@pytest.fixture
def door(project_name: str, tmp_path: Path) -> Iterator[Door]:
    with open_door("process", project_name, tmp_path) as door:
        yield door


def most_connections() -> int:
    """What the gateway accepts, as docs/exposing.md has it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 50_000 if hard == resource.RLIM_INFINITY else min(50_000, (hard - OWN_FILES) // 2)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as this machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def asked(door: Door, times: int) -> float:
    """Every one of so many requests is answered; how long the slowest took."""
    slowest = 0.0
    for _ in range(times):
        begun = time.monotonic()
        assert door.is_open_for(SHOP_KEY)
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


@pytest.mark.usefixtures("descriptors")
def test_ten_thousand_connections_keep_nobody_out(door: Door) -> None:
    """Or as many as there are descriptors for: half of them say nothing, and half of them half a request."""
    count = min(CROWD, most_connections() - 50)
    assert count >= 1_900, "this machine lets nobody have enough connections to try it"
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(door.connect())
            if number % 2:
                connection.sendall(HEAD)
        slowest = asked(door, 20)
        print(f"{count} connections: the slowest of 20 requests took {slowest:.2f} s")
        assert slowest < 10
    assert asked(door, 5) < 10


def test_stalled_heads_and_bodies_keep_nobody_out_and_are_ended(door: Door) -> None:
    lengths = [b"Content-Length: 26214400\r\n\r\n1,2", b"Transfer-Encoding: chunked\r\n\r\n3\r\n1"]
    stalled = [HEAD[:20], HEAD, *(HEAD + more for more in lengths)]
    with ExitStack() as stack:
        for data in stalled * 50:
            stack.enter_context(door.connect()).sendall(data)
        slow = stack.enter_context(door.connect())
        slow.sendall(HEAD[:20])
        assert asked(door, 20) < 10
        slow.settimeout(60)
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")  # its head was not whole after 10 s


def test_whoever_has_no_key_is_not_waited_for(door: Door) -> None:
    """Their bodies are never read: the answer comes with the head."""
    with door.connect() as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 26214400\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 403 ")
