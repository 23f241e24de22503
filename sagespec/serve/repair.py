"""Starts again what serves and has died, with nothing but what the engine has: its containers, with their models.

For the time in which no pass gets through, as when the store is away; `standby` knows when that is. (A pass
makes a new one in its place, with its model from the store.) What takes no requests by the routes is left alone:
somebody is making it, or removing it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.gateway.gateway import Gateway
from sagespec.runtimes.protocol import Runtime
from sagespec.serve.health import container_addresses
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.observed import Container, ContainerState, ObservedGateway, Route
from sagespec.state.suspension import Suspension, is_suspended

LONGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0  # what has run for so long did not fail at its start

_GONE = str(GATEWAY)  # what is tried when no container has the gateway's name

Routes = Mapping[str, Route]  # by endpoint name


@dataclass(frozen=True)
class Try:
    """How often something was started again, and when last, by the monotonic clock.

    >>> [Try(times, at=0.0).not_before for times in (1, 2, 3, 9)]
    [2.0, 4.0, 8.0, 60.0]
    """

    times: int
    at: float

    @property
    def not_before(self) -> float:
        """When it may be started once more."""
        return self.at + min(2.0**self.times, LONGEST_PAUSE_SECONDS)


def to_start_again(
    containers: Collection[Container], routes: Routes, tries: Mapping[str, Try], now: float
) -> tuple[Container, ...]:
    """What has ended and should not have, and may be tried now: the gateway, then what takes requests by the routes.

    tries: by container name.
    """
    ended = [container for container in containers if container.state is ContainerState.EXITED]
    gateways = [container for container in containers if container.address == GATEWAY]
    has_gateway = any(gateway not in ended for gateway in gateways)  # it may be another, with other settings
    serving = _serving(routes)
    dead = [*([] if has_gateway else gateways[:1]), *(container for container in ended if container.name in serving)]
    return tuple(container for container in dead if _is_due(container.name, tries, now))


def is_gateway_gone(containers: Collection[Container], routes: Routes) -> bool:
    """Whether there is no gateway, though there is something that it should lead to."""
    has_one = any(container.address == GATEWAY for container in containers)
    return not has_one and any(container.name in _serving(routes) for container in containers)


def without_steady(tries: Mapping[str, Try], containers: Iterable[Container], now: float) -> dict[str, Try]:
    """The tries less those of containers that have run for a while since."""
    running = {container.name for container in containers if container.state is ContainerState.RUNNING}
    return {name: one for name, one in tries.items() if name not in running or now - one.at < STEADY_SECONDS}


def _is_due(name: str, tries: Mapping[str, Try], now: float) -> bool:
    return name not in tries or tries[name].not_before <= now


def _serving(routes: Routes) -> frozenset[str]:
    return frozenset(name for route in routes.values() for target in route.targets for name in target.instances)


class Repair:
    """The repairs of one run. runtime, gateway, is_wanted: as of now, since settings may change."""

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        gateway: Callable[[], Gateway],
        report: Report,
        clock: Callable[[], float] = time.monotonic,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_wanted = is_wanted
        self._runtime, self._gateway, self._report, self._clock = runtime, gateway, report, clock
        self._routes: Routes = {}  # as last seen
        self._lost: dict[str, Route] = {}  # of a gateway that is gone: what the new one has not been given yet
        self._tries: dict[str, Try] = {}
        self._suspensions: tuple[Suspension, ...] = ()

    def note(self, gateway: ObservedGateway, suspensions: tuple[Suspension, ...] = ()) -> None:
        """Remember what a pass has seen: a dead gateway cannot be asked, and one that is gone has taken its routes
        along. What is suspended dies and stays dead."""
        self._suspensions = suspensions
        if gateway.answers:
            self._routes, self._lost = gateway.routes, {}

    def look(self) -> None:
        """Start again what is dead now. An engine that does not answer is asked again by the next look."""
        if not self._is_wanted():
            return
        with suppress(WorldError):
            containers = self._runtime().containers()
            self._tries = without_steady(self._tries, containers, self._clock())
            if self._lost or is_gateway_gone(containers, self._routes):
                if not self._is_suspended(GATEWAY):
                    self._restore_gateway()
            elif any(container.state is ContainerState.EXITED for container in containers):
                self._see(self._gateway().observe(containers))
            for container in to_start_again(containers, self._routes, self._tries, self._clock()):
                if not self._is_suspended(container.address):
                    self._start_again(container)

    def _is_suspended(self, address: Address) -> bool:
        return is_suspended(self._suspensions, address, datetime.now(UTC))

    def _see(self, gateway: ObservedGateway) -> None:
        if gateway.answers:
            self._routes = gateway.routes

    def _start_again(self, container: Container) -> None:
        def start() -> bool:
            return self._runtime().start_again(container.name)

        code = "" if container.exit_code is None else f" with code {container.exit_code}"
        self._try(container.name, str(container.address), start, why=f"it exited{code}", what="it is started again")

    def _restore_gateway(self) -> None:
        if _is_due(_GONE, self._tries, self._clock()):
            self._try(_GONE, str(GATEWAY), self._make_gateway, why="its container is gone", what="it is made again")

    def _make_gateway(self) -> bool:
        """Make the gateway, and give it the routes of the one that is gone."""
        self._lost = self._lost or {name: _without_draining(route) for name, route in self._routes.items()}
        self._gateway().start(self._report)
        for name, route in list(self._lost.items()):
            self._gateway().set_route(name, route, container_addresses(self._runtime()))
            self._lost.pop(name, None)  # a pass may have seen the gateway meanwhile: `note`
        return True

    def _try(self, name: str, about: str, do: Callable[[], bool], *, why: str, what: str) -> None:
        """Do it, and tell of it. do: False when there was nothing to do any more."""
        now = self._clock()
        self._tries[name] = Try(self._tries[name].times + 1 if name in self._tries else 1, now)
        try:
            if not do():
                return
        except WorldError as error:
            what = f"{error.problems[0].what}; tried again in {self._tries[name].not_before - now:.0f} s"
        self._report(Event(EventKind.NOTE, about, f"{why}; {what}"))


def _without_draining(route: Route) -> Route:
    return replace(route, targets=tuple(replace(target, draining=()) for target in route.targets))
