"""Whether a port is free, as whoever wants to listen there asks."""

from __future__ import annotations

import socket
import threading

import pytest

from sagespec.ports import is_taken
from tests.ports import free_port


def test_a_look_at_a_port_is_in_nobodys_way_who_begins_to_listen() -> None:
    port, ends = free_port(), threading.Event()

    def look_on() -> None:
        while not ends.is_set():
            is_taken("127.0.0.1", port)

    looking = [threading.Thread(target=look_on) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(500):
            socket.create_server(("127.0.0.1", port)).close()
    finally:
        ends.set()
        for thread in looking:
            thread.join()


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_port_is_taken_while_somebody_listens(host: str, family: socket.AddressFamily) -> None:
    if family == socket.AF_INET6 and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        assert is_taken(host, port)
    assert not is_taken(host, port)
