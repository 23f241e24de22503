"""Whether a port is taken, and by which program."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from pathlib import Path

COMMAND_SHOWN = 200  # characters


def is_taken(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE


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
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"pid {process.name} ({command[:COMMAND_SHOWN]})"
    return ""
