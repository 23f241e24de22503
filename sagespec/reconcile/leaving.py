"""Which instances leave, in which order: out of the route, drained, removed.

Called by `endpoints` for what a change replaces and by `prune` for all of an endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable

from sagespec.causes import Cause, Reason
from sagespec.plan import Action, DrainInstance, RemoveContainer, RemoveInstance, SetRoutes
from sagespec.reconcile.routes import routed_names, serving_targets, with_draining
from sagespec.state.addresses import Address
from sagespec.state.observed import Container, ContainerState, Observed, Route


def remove_containers(containers: Iterable[Container], reason: Reason, note: str) -> tuple[RemoveContainer, ...]:
    """Remove what serves nothing: no traffic needs to be drained."""
    cause = Cause(reason, note=note)
    return tuple(RemoveContainer(about=c.address, container=c.name, cause=cause) for c in containers)


def removals(
    leaving: tuple[Container, ...], draining: frozenset[str], after: tuple[str, ...], within_seconds: float, note: str
) -> tuple[Action, ...]:
    """Drain those that have had traffic, then remove all."""
    actions: list[Action] = []
    for container in leaving:
        cause = Cause(Reason.FOLLOWS, note=note)
        removal_after = after
        if container.name in draining and container.state is ContainerState.RUNNING:
            drain = DrainInstance(
                about=container.address,
                cause=cause,
                after=after,
                container=container.name,
                within_seconds=within_seconds,
            )
            actions.append(drain)
            removal_after = (drain.id,)
        actions.append(
            RemoveInstance(about=container.address, cause=cause, after=removal_after, container=container.name)
        )
    return tuple(actions)


def remove_idle(
    address: Address, observed: Observed, within_seconds: float, note: str = "it never became healthy"
) -> tuple[Action, ...]:
    """Remove what an attempt left that never got traffic. What serves stays, even where no revision records it:
    the run that gave it traffic was killed before it could record that. While the gateway does not answer, nobody
    knows what serves: one that starts again has its routes."""
    if not observed.gateway.answers:
        return ()
    route = observed.gateway.routes.get(address.name)
    serving = (
        frozenset(name for target in serving_targets(route) for name in target.instances) if route else frozenset()
    )
    leaving = tuple(c for c in observed.containers_of(address) if c.name not in serving)
    draining = frozenset(c.name for c in leaving) & routed_names(route)
    return removals(leaving, draining, (), within_seconds, note)


def remove_all(address: Address, observed: Observed, note: str, *, within_seconds: float) -> tuple[Action, ...]:
    """Take an endpoint off the gateway and remove its containers, draining those that have traffic."""
    route = observed.gateway.routes.get(address.name)
    leaving = observed.containers_of(address)
    draining = frozenset(c.name for c in leaving) & routed_names(route)
    cause = Cause(Reason.REMOVED, note=note)
    sets: tuple[Action, ...] = ()
    if route and (serving_targets(route) or routed_names(route) - {c.name for c in leaving}):
        drained = with_draining(Route(address.name, ()), tuple(c for c in leaving if c.name in draining))
        sets = (SetRoutes(about=address, cause=cause, route=drained if drained.targets else None),)
    return (*sets, *removals(leaving, draining, tuple(action.id for action in sets), within_seconds, note))
