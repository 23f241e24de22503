"""The gateway's port where sagespec.yaml sets none, and who has a port that is taken.

Such a project keeps the port that its gateway's container publishes, whatever else has changed; only the engine is
asked, and nothing is remembered. Without a container it gets 8080, or the next free port (`Gateway.start`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from sagespec.runtimes.protocol import PortTaken, Runtime
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import Container, ContainerState

USUAL_PORTS = range(8080, 8180)  # where none is set, tried in this order

COMMAND_SHOWN = 200  # characters


def published_port(runtime: Runtime, containers: Iterable[Container]) -> int | None:
    """The port of the gateway that there is among the containers, running or not; None when there is none."""
    ours = [container for container in containers if container.address == GATEWAY]
    ours.sort(key=lambda container: container.state is not ContainerState.RUNNING)
    found = (runtime.inspect(container.name) for container in ours)
    return next((container.published for container in found if container and container.published), None)


def taken(runtime: Runtime, settings: GatewaySettings) -> PortTaken:
    return PortTaken(
        f"the gateway cannot listen on {settings.host}:{settings.port}",
        why=f"{holder_of(runtime, settings.port)} listens there",
        fix="stop it, or set gateway.port in sagespec.yaml",
    )


def holder_of(runtime: Runtime, port: int) -> str:
    """Who listens on the port, as far as this machine can tell."""
    return (runtime.is_local and listener_on(port)) or "another program"


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
            if any(_has(file, sockets) for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"pid {process.name} ({command[:COMMAND_SHOWN]})"
    return ""


def _has(file: Path, sockets: Collection[str]) -> bool:
    try:
        return str(file.readlink()) in sockets
    except FileNotFoundError:  # closed meanwhile
        return False
