"""Whether a port is free, as whoever wants to listen there asks."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from subprocess import PIPE

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


def test_two_runs_of_tests_at_once_are_given_no_port_alike() -> None:
    """However their dice fell: two that were seeded alike began at the same ports, one after the other."""
    script = "from tests.ports import free_port; print(*(free_port() for _ in range(150)), flush=True); input()"
    runs = [subprocess.Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE, text=True) for _ in range(2)]
    given = [{int(port) for port in run.stdout.readline().split()} for run in runs]  # type: ignore[union-attr]
    for run in runs:
        run.communicate("\n", timeout=20)
    assert all(50 < len(ports) <= 100 for ports in given)
    assert not given[0] & given[1]
    assert free_port() not in given[0] | given[1]
