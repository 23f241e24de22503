"""The route an endpoint should have, and whether the gateway's differs.

Called by `endpoints`; `gateway.table` turns a route into Envoy's configuration.
"""

from __future__ import annotations

from dataclasses import replace

from sagespec.reconcile.instances import Instance
from sagespec.state.desired import DesiredEndpoint
from sagespec.state.limits import Limits
from sagespec.state.observed import Container, Observed, Route, Target


def wanted_route(endpoint: DesiredEndpoint, instances: tuple[Instance, ...]) -> Route:
    targets = []
    for variant in endpoint.variants:
        mine = [i for i in instances if i.variant.name == variant.name]
        if not mine:
            continue  # a rollout has none of it yet, or no more
        names = tuple(sorted(i.container for i in mine))
        of_model = variant.model_name
        targets.append(Target(variant.name, mine[0].hash, variant.weight, instances=names, model=of_model))
    record = endpoint.record
    return Route(
        endpoint.name,
        tuple(targets),
        key=record.split.key,
        lends=record.when_down == "spread",
        limits=Limits(record.limits.concurrency, record.limits.queue) if record.limits.concurrency else None,
    )


def with_draining(route: Route, draining: tuple[Container, ...]) -> Route:
    """The route with the leaving containers as draining members of their (possibly old) targets."""
    targets = {(target.variant, target.hash): target for target in route.targets}
    for container in draining:
        where = (container.address.variant, container.hash)
        target = targets.get(where, Target(*where, weight=0.0))
        targets[where] = replace(target, draining=(*target.draining, container.name))
    return replace(route, targets=tuple(targets.values()))


def serving_targets(route: Route) -> tuple[Target, ...]:
    """The part of a route that takes requests: what two routes are compared by. The order means something to keys
    alone, and a route of an earlier release has another."""
    serving = (replace(target, draining=()) for target in route.targets if target.instances)
    return tuple(serving if route.key else sorted(serving))


def routed_names(route: Route | None) -> frozenset[str]:
    """All containers a route mentions."""
    return (
        frozenset(name for target in route.targets for name in (*target.instances, *target.draining))
        if route
        else frozenset()
    )


def route_is_off(route: Route | None, wanted: Route, endpoint: DesiredEndpoint, observed: Observed) -> bool:
    """Whether the gateway's route differs from the wanted one, names containers that are gone, or has an
    instance that it does not probe, or at an address it no longer has."""
    if route is None or (route.key, route.lends, route.limits) != (wanted.key, wanted.lends, wanted.limits):
        return True
    if serving_targets(route) != serving_targets(wanted):
        return True
    containers = {container.name: container for container in observed.containers_of(endpoint.address)}
    if routed_names(route) - containers.keys():
        return True
    for name in routed_names(wanted):
        probe, container = observed.gateway.probes.get(name), containers.get(name)
        if container is None or not container.host:
            continue
        if probe is None or (probe.host, probe.port) != (container.host, container.port):
            return True
    return False
