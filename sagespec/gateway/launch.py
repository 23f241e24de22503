"""The hash that decides whether the gateway's container is up to date."""

from __future__ import annotations

from sagespec.spec.project import GatewaySettings
from sagespec.state.hashes import hash_of

FORMAT = 2  # raised when a release needs gateways to be started again


def gateway_hash(settings: GatewaySettings) -> str:
    """What the gateway's container is known by: other settings ask for another container."""
    return hash_of({"format": FORMAT, "host": settings.host, "port": settings.port})
