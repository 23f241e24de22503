"""The gateway's program, the hash that decides whether it is up to date, and the port if none is set.

A project whose sagespec.yaml names no port gets 8080, or the next free one. Nothing records which: the gateway's
container carries the hash of its settings, and `port_from_hash` reads the port back from that.
"""

from __future__ import annotations

from sagespec.spec.project import GatewaySettings
from sagespec.state.hashes import hash_of, same_hash
from sagespec.state.programs import Builtin

FORMAT = 1  # raised when a release needs gateways to be started again
USUAL_PORTS = range(8080, 8180)  # where no port is set: the first that was free
PROGRAM = Builtin("gateway")


def gateway_hash(settings: GatewaySettings) -> str:
    """What the gateway's container is known by: other settings ask for another container."""
    return hash_of({"format": FORMAT, "host": settings.host, "port": settings.port})


def with_port(settings: GatewaySettings, port: int) -> GatewaySettings:
    return settings.model_copy(update={"port": port})


def port_from_hash(settings: GatewaySettings, container_hash: str) -> int | None:
    """The usual port that a gateway with this hash listens on; None for any other."""
    hashes = ((port, gateway_hash(with_port(settings, port))) for port in USUAL_PORTS)
    return next((port for port, found in hashes if same_hash(found, container_hash)), None)
