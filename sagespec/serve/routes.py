"""Gives the gateway an endpoint's route.

Called by `apply.effects` for a SetRoutes.
"""

from __future__ import annotations

from sagespec.plan import SetRoutes
from sagespec.serve.health import container_addresses
from sagespec.traffic.tallying import count_before, reading_of
from sagespec.world import World


def set_route(action: SetRoutes, world: World) -> None:
    """What came until now is read first, and kept when the route is set: no route waits for a store. It counts by the
    weights of until now, and apart from what came since: a busy endpoint gets hundreds of requests meanwhile, which
    would break the new split."""
    name = action.about.name
    before = reading_of(name, world.gateway)
    world.gateway.set_route(name, action.route, container_addresses(world.runtime))
    count_before(name, before, world.records, world.gateway)
