"""The gateway's port where sagespec.yaml sets none, and what is said of one that is taken.

Such a project keeps the port that its gateway's container publishes, whatever else has changed; only the engine is
asked, and nothing is remembered. Without a container it gets 8080, or the next free port (`Gateway.start`).
"""

from __future__ import annotations

from collections.abc import Iterable

from sagespec.ports import who_listens_on
from sagespec.runtimes.protocol import PortTaken, Runtime
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import Container, ContainerState

USUAL_PORTS = range(8080, 8180)  # where none is set, tried in this order


def published_port(runtime: Runtime, containers: Iterable[Container]) -> int | None:
    """The port of the gateway that there is among the containers, running or not; None when there is none."""
    ours = [container for container in containers if container.address == GATEWAY]
    ours.sort(key=lambda container: container.state is not ContainerState.RUNNING)
    found = (runtime.inspect(container.name) for container in ours)
    return next((container.published for container in found if container and container.published), None)


# Two environments on one machine cannot both have the port that sagespec.yaml names.
PORT_FIX = "stop it, or set gateway.port in sagespec.yaml, or below `project` in the environment's file"


def taken(runtime: Runtime, settings: GatewaySettings) -> PortTaken:
    return PortTaken(
        f"the gateway cannot listen on {settings.host}:{settings.port}",
        why=f"{holder_of(runtime, settings.port)} listens there",
        fix=PORT_FIX,
    )


def holder_of(runtime: Runtime, port: int) -> str:
    """Who listens on the port, as far as this machine can tell."""
    return who_listens_on(port) if runtime.is_local else "another program"
