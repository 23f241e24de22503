"""What the gateway's container is started with, and the hash that decides whether it is up to date."""

from __future__ import annotations

from sagespec.spec.project import GatewaySettings
from sagespec.state.hashes import hash_of

FORMAT = 2  # raised when a release needs gateways to be started again
STOP_SECONDS = 10.0  # between SIGTERM and SIGKILL


def gateway_hash(settings: GatewaySettings) -> str:
    """What the gateway's container is known by: other settings ask for another container."""
    able = {"able": sorted(abilities(settings))} if abilities(settings) else {}
    return hash_of({"format": FORMAT, "host": settings.host, "port": settings.port} | able)


def abilities(settings: GatewaySettings) -> dict[str, str]:
    """What Envoy must be able to do besides, as variables of its container: not all gateways pay for it, and those of
    earlier releases know nothing of it."""
    wanted = {
        "SAGESPEC_GATEWAY_DOORS": settings.checks_callers,
        "SAGESPEC_GATEWAY_TLS": settings.tls is not None,
        "SAGESPEC_GATEWAY_QUIET": not settings.access_log,
    }
    return {name: "1" for name, is_wanted in wanted.items() if is_wanted}
