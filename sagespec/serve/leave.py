"""Takes an instance out of service: drained, removed from the gateway, then stopped and removed.

Called by `apply.effects` for a DrainInstance and a RemoveInstance. The gateway forgets an instance before it is
stopped, so that it never probes or routes to an address that someone else may get.
"""

from __future__ import annotations

from collections.abc import Callable

from sagespec.contract import SERVE_GRACE_SECONDS
from sagespec.errors import Cancelled
from sagespec.events import Caller, Event, EventKind
from sagespec.plan import DrainInstance, RemoveInstance
from sagespec.serve.health import PROBE_EVERY_SECONDS
from sagespec.traffic.tallying import count
from sagespec.world import World


def drain_instance(action: DrainInstance, world: World, caller: Caller) -> None:
    """Wait until the gateway counts no request in flight to this container; past the limit, report how many are
    cut off, and return."""
    deadline = world.clock.monotonic() + action.within_seconds
    while True:
        probe = world.gateway.probes([action.container]).get(action.container)
        if probe is None or probe.active_requests == 0:
            return
        if world.clock.monotonic() > deadline:
            text = f"{probe.active_requests} requests still ran after {action.within_seconds:g} s and are cut off"
            caller.report(Event(EventKind.NOTE, str(action.about), text, action=action.verb))
            return
        if world.clock.sleep(PROBE_EVERY_SECONDS, caller.cancelled):
            raise Cancelled("its requests are not waited for any longer; `sagespec apply` continues from here")


def begin_to_leave(action: RemoveInstance, world: World) -> Callable[[], None]:
    """Out of the gateway, and marked for others: it runs for a while yet. What stops it then: SIGTERM, and SIGKILL
    after the grace, in which a server may answer its last requests."""
    count(action.about.name, world.records, world.gateway)  # what Envoy has counted of it goes with it
    world.gateway.forget(action.about.name, action.container)
    world.leases.mark_leaving(action.container)
    return world.runtime.stopping(action.container, grace_seconds=SERVE_GRACE_SECONDS)


def end_leaving(action: RemoveInstance, world: World) -> None:
    """Remove it, unless another run wanted it meanwhile: that has replaced it, and taken the mark away."""
    if world.leases.is_leaving(action.container):
        world.runtime.remove(action.container)
        world.leases.unmark_leaving(action.container)
