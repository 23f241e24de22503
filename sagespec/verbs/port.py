"""Finds a free port for the gateway if sagespec.yaml sets none and the usual one is taken.

The demo thus works beside Jenkins, Tomcat or another demo, and says where its endpoints are. A port that is set is
kept: if it is taken, the gateway fails to start and reports what is using it.
"""

from __future__ import annotations

from sagespec.events import Event, EventKind, Report
from sagespec.gateway.launch import USUAL_PORTS
from sagespec.gateway.ports import is_taken, listener_on
from sagespec.parts import Parts
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import ContainerState


def avoid_taken_port(parts: Parts, report: Report) -> None:
    """Choose another port for the gateway when it does not run and its own is taken. The lock must be held."""
    if parts.sets_port or _is_running(parts):
        return
    host, port = parts.gateway_settings.host, parts.gateway_settings.port
    if not is_taken(host, port):
        return
    free = next((other for other in USUAL_PORTS if not is_taken(host, other)), None)
    if free is None:
        return  # if the gateway cannot listen, it reports why
    parts.listen_on(free)
    holder = listener_on(port) or "another program"
    text = f"port {port} is taken by {holder}: the gateway listens on {free} (gateway.port in sagespec.yaml sets it)"
    report(Event(EventKind.NOTE, str(GATEWAY), text))


def _is_running(parts: Parts) -> bool:
    containers = parts.runtime.containers()
    return any(c.address == GATEWAY and c.state is ContainerState.RUNNING for c in containers)
