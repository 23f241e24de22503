"""What the gateway has counted of the endpoints that are rolled out, as their records keep it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sagespec.errors import WorldError
from sagespec.gateway.gateway import Gateway
from sagespec.state.counts import Reading


def readings_of(gateway: Gateway, endpoint_names: Collection[str]) -> Mapping[str, Reading]:
    """By endpoint, of those that it knows; {} while it does not answer."""
    try:
        found = gateway.readings()
    except WorldError:
        return {}
    return {name: found[name] for name in endpoint_names if name in found}
