"""The instances of an endpoint, one by one: which of them serve, start, or finish their requests.

`status` counts them; whoever looks at one endpoint wants to see what a change is doing to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sagespec.parts import Parts
from sagespec.state.addresses import endpoint_address
from sagespec.state.observed import Container, ContainerState, ObservedGateway, Route


class InstanceWord(StrEnum):
    SERVING = "serving"
    UNHEALTHY = "unhealthy"  # its requests go to others, if there are any
    STARTING = "starting"  # probed, and gets no requests yet
    DRAINING = "draining"  # finishes its requests, and goes
    ENDED = "ended"


@dataclass(frozen=True)
class InstanceState:
    """One container. restarts: by the engine, since it was started. active: requests in flight. node:
    where it is, if the engine has several machines."""

    address: str
    variant: str
    name: str
    hash: str
    state: InstanceWord
    restarts: int
    active: int
    started_at: datetime | None = None
    last_end: str = ""
    node: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "variant": self.variant,
            "name": self.name,
            "hash": self.hash,
            "state": self.state.value,
            "restarts": self.restarts,
            "active": self.active,
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "last_end": self.last_end,
        } | ({"node": self.node} if self.node else {})


def instances(parts: Parts, endpoint_name: str) -> tuple[InstanceState, ...]:
    """All containers of the endpoint, sorted by address; new ones and those that drain included."""
    containers = parts.runtime.containers()
    mine = [c for c in containers if c.address.whole == endpoint_address(endpoint_name)]
    known = [parts.runtime.inspect(container.name) or container for container in mine]
    return instance_states(endpoint_name, known, parts.gateway.observe(containers))


def instance_states(
    endpoint_name: str, containers: Iterable[Container], gateway: ObservedGateway
) -> tuple[InstanceState, ...]:
    route = gateway.routes.get(endpoint_name)
    found = (_instance_state(container, route, gateway) for container in containers)
    return tuple(sorted(found, key=lambda instance: (instance.address, instance.name)))


def _instance_state(container: Container, route: Route | None, gateway: ObservedGateway) -> InstanceState:
    probe = gateway.probes.get(container.name)
    last = container.last_exit
    end = f"ended with {last.code}" if last and last.code is not None else ""
    return InstanceState(
        address=str(container.address),
        variant=container.address.variant or "",
        name=container.name,
        hash=container.hash,
        state=_word(container, route, is_healthy=probe is not None and probe.healthy),
        restarts=container.restarts,
        active=probe.active_requests if probe else 0,
        started_at=container.started_at,
        last_end="; ".join(filter(None, (end, last.note if last else ""))),
        node=container.node,
    )


def _word(container: Container, route: Route | None, *, is_healthy: bool) -> InstanceWord:
    targets = route.targets if route else ()
    if container.state not in (ContainerState.RUNNING, ContainerState.RESTARTING, ContainerState.CREATED):
        return InstanceWord.ENDED
    if any(container.name in target.draining for target in targets):
        return InstanceWord.DRAINING
    if any(container.name in target.instances for target in targets):
        return InstanceWord.SERVING if is_healthy else InstanceWord.UNHEALTHY
    return InstanceWord.STARTING
