"""Ports for what tests start: of each process that asks, others.

Not those that the system gives to a socket bound to port 0: it also gives them to outgoing connections, of which
other tests make thousands before a server can take the port. Nor those of the process runtime.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PORTS = range(10000, 20000)
_AT_ONCE = 100  # ports of one process


def free_port() -> int:
    """One that nothing listens on, and that no other run of tests gives away as well while this one lasts."""
    while True:
        port = next(_row())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@functools.cache
def _row() -> Iterator[int]:
    """This process's ports, round and round: each one rests for as long as it can."""
    for first in range(PORTS.start, PORTS.stop, _AT_ONCE):
        if _take(first):
            return itertools.cycle(range(first, first + _AT_ONCE))
    raise RuntimeError(f"all ports of {PORTS} are taken by other tests")


_held: list[IO[str]] = []  # as long as the process lives


def _take(first: int) -> bool:
    folder = Path(tempfile.gettempdir()) / f"sagespec-tests-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    lock = (folder / f"ports-{first}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _held.append(lock)
    return True
