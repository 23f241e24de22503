"""Ports for local processes: free ones, and why one cannot be had."""

from __future__ import annotations

import errno
import zlib

from sagespec.errors import WorldError
from sagespec.ports import Claims, listen_error
from sagespec.runtimes.protocol import PortTaken

HOST = "127.0.0.1"

# Below the range from which systems take the ports of outgoing connections (Linux 32768, macOS 49152).
PORTS = range(20000, 32768)


_CLAIMS = Claims()


def choose_port(wish: str, taken: set[int], count: int = 1, claims: Claims = _CLAIMS) -> int:
    """The first of `count` free ports in a row; the search begins at a place derived from `wish`, so that projects
    seldom collide."""
    begin = zlib.crc32(wish.encode()) % len(PORTS)
    for offset in range(len(PORTS)):
        index = (begin + offset) % len(PORTS)
        row = PORTS[index : index + count]
        is_free = len(row) == count and all(port not in taken and listen_error(HOST, port) is None for port in row)
        if is_free and all(claims.claim(port, wish) for port in row):
            return row[0]
    raise WorldError(f"no free port from {PORTS[0]} to {PORTS[-1]}", fix="stop programs that listen there")


def check_port(host: str, port: int, *, fix: str) -> None:
    error = listen_error(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise PortTaken(f"port {port} on {host} is in use by another program", fix=fix) from error
    if error.errno == errno.EACCES:
        raise WorldError(
            f"port {port} cannot be opened",
            why="ports below 1024 are reserved for the system",
            fix="choose one above 1023",
        ) from error
    raise WorldError(f"cannot listen on {host}:{port}: {error.strerror}", fix="choose another address") from error
