"""Ports of this machine: which of them are free, and who listens on one that is not."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from sagespec.errors import WorldError

COMMAND_SHOWN = 200  # characters


def listen_error(host: str, port: int) -> OSError | None:
    """Why nobody can begin to listen there; None if it can be done.

    It binds and does not listen, so that it is in nobody's way who begins to listen meanwhile.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def is_taken(host: str, port: int) -> bool:
    error = listen_error(host, port)
    return error is not None and error.errno == errno.EADDRINUSE


def first_free(host: str, ports: Iterable[int]) -> int | None:
    return next((port for port in ports if not is_taken(host, port)), None)


class Claims:
    """Ports of loopback that this process has chosen, where a program may not listen yet; others choose none of them.

    A UDP socket stands for each: it is in the way of no server, and the system closes it however the process ends.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._held: dict[int, tuple[str, int]] = {}  # wish and file descriptor by port; the oldest first
        self._lock = threading.Lock()

    def claim(self, port: int, wish: str) -> bool:
        """False when another process has it, or it was chosen here for another wish."""
        with self._lock:
            if port in self._held:
                return self._held[port][0] == wish
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sign:
                try:
                    sign.bind(("127.0.0.1", port))
                except OSError:
                    return False
                self._held[port] = wish, sign.detach()
            if len(self._held) > self._most:  # its program listens by now
                os.close(self._held.pop(next(iter(self._held)))[1])
            return True


def port_taken(host: str, port: int, *, fix: str) -> WorldError:
    return WorldError(f"{host}:{port} is taken", why=f"{who_listens_on(port)} listens there", fix=fix)


def who_listens_on(port: int) -> str:
    """For people, where somebody does."""
    return listener_on(port) or "another program"


def listener_on(port: int) -> str:
    """`pid 123 (its command line)` of who listens on a port of this machine; "" when the system does not tell."""
    sockets = set()
    with suppress(OSError):
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for _, local, _, state, *_, inode in (line.split()[:10] for line in Path(table).read_text().splitlines()):
                if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{inode}]")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or gone
            if any(_has(file, sockets) for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"pid {process.name} ({command[:COMMAND_SHOWN]})"
    return ""


def _has(file: Path, sockets: Collection[str]) -> bool:
    try:
        return str(file.readlink()) in sockets
    except FileNotFoundError:  # closed meanwhile
        return False
