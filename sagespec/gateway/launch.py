"""The gateway's container as a launch, and the hash that decides whether it is up to date."""

from __future__ import annotations

from sagespec.spec.project import Gateway as Settings
from sagespec.state.hashes import hash_of
from sagespec.state.programs import Program

FORMAT = 1  # raised when a release needs gateways to be started anew


PROGRAM = Program(builtin="gateway")


def gateway_hash(settings: Settings) -> str:
    """What the gateway's container is known by: other settings ask for another container."""
    return hash_of({"format": FORMAT, "host": settings.host, "port": settings.port})
