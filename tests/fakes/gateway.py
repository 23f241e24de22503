"""A gateway without Envoy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from sagespec.errors import WorldError
from sagespec.events import Report
from sagespec.gateway.answers import Counters
from sagespec.gateway.gateway import Gateway
from sagespec.gateway.readings import counts_from
from sagespec.gateway.table import Places, Table, TargetKey
from sagespec.gateway.totals import Totals
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.counts import Counts, Reading
from sagespec.state.doors import Doors
from sagespec.state.observed import Container, ContainerState, ObservedGateway, Probe, Route, Target
from tests.fakes.runtime import FakeRuntime


class FakeGateway(Gateway):
    """The real changes of the real table, but no Envoy: health is that of the `FakeEngine`'s containers."""

    def __init__(self, runtime: FakeRuntime, project_name: str, settings: GatewaySettings | None = None) -> None:
        super().__init__(runtime, project_name, settings or GatewaySettings())
        self._engine, self._faults = runtime.engine, runtime.faults

    def start(self, report: Report, *, restart: bool = False, doors: Doors | None = None) -> None:
        """Routes are kept, also those of a gateway with other settings, or off its network."""
        for container in self._runtime.containers():
            is_sound = container.name == self._name and container.is_on_network and not restart
            if container.address == GATEWAY and not is_sound:
                table = self._engine.tables.pop(container.name, Table())
                self._runtime.remove(container.name)
                self._engine.tables[self._name] = table
        self._runtime.create([self.launch()])
        self._runtime.start(self._name)
        if doors is not None:
            super().set_doors(doors)

    def observe(self, containers: Collection[Container]) -> ObservedGateway:
        if not any(c.name == self._name and c.is_on_network for c in containers) or not self._is_running():
            return ObservedGateway()
        table = self._table()
        routes = {name: route for name, route in table.routes.items() if route.targets}
        return ObservedGateway(answers=True, routes=routes, probes=self.probes(table.names()), doors=table.doors)

    def probes(self, container_names: Collection[str]) -> Mapping[str, Probe]:
        known = self._table().names()
        return {name: self._probe(name) for name in sorted(container_names) if name in known}

    def counters(self) -> Mapping[tuple[str, str, str], Counters]:
        return {key: Counters() for key in self._table().serving}

    def totals(self) -> Mapping[TargetKey, Totals]:
        self._table()
        return dict(self._engine.totals)

    def ask(self, endpoint_name: str, requests: int, is_error: Callable[[Target, int], bool], ms: float = 10.0) -> None:
        """So many requests to the endpoint, split by weight. is_error: of the target's n-th request."""
        table = self._table()
        targets = [t for t in table.routes[endpoint_name].targets if t.weight]
        given = dict.fromkeys(targets, 0)
        for number in range(requests):  # each to whom is furthest behind its share
            target = max(targets, key=lambda t: t.weight / sum(x.weight for x in targets) * (number + 1) - given[t])
            given[target] += 1
            key = TargetKey(endpoint_name, target.variant, target.hash)
            had = self._engine.totals.get(key, Totals())
            serves = any(self._probe(i.name).healthy for i in table.pools.get(table.serving.get(key, ""), ()))
            self._engine.totals[key] = replace(
                had,
                requests=had.requests + 1,
                errors_5xx=had.errors_5xx + (not serves or is_error(target, had.requests)),
                latencies={**had.latencies, ms: had.latencies.get(ms, 0) + 1},
            )

    def readings(self) -> Mapping[str, Reading]:
        """Without shares: nobody's split is judged."""
        counts: dict[str, dict[str, Counts]] = {name: {} for name in self._table().routes}
        for key, found in self._engine.totals.items():
            counts.setdefault(key.endpoint_name, {})[f"{key.variant}/{key.hash}"] = counts_from(found)
        return {name: Reading(f"gateway {self._engine.gateway_starts}", of, {}) for name, of in counts.items()}

    def set_route(self, endpoint_name: str, route: Route | None, places: Places) -> None:
        with self._faults.effect(f"route {endpoint_name}"):
            super().set_route(endpoint_name, route, places)

    def set_doors(self, doors: Doors) -> None:
        with self._faults.effect("doors"):
            super().set_doors(doors)

    def admit(self, endpoint_name: str, target: Target, places: Places) -> None:
        with self._faults.effect(f"admit {endpoint_name} {' '.join(target.instances)}"):
            super().admit(endpoint_name, target, places)

    def forget(self, endpoint_name: str, container_name: str) -> None:
        with self._faults.effect(f"forget {endpoint_name} {container_name}"):
            super().forget(endpoint_name, container_name)

    def answers(self, endpoint_name: str) -> bool:
        """Whether any request to the endpoint would be answered now: each target with a weight has a healthy one."""
        table = self._table()
        route = table.routes.get(endpoint_name)
        keys = [TargetKey(endpoint_name, t.variant, t.hash) for t in route.targets if t.weight] if route else []
        pools = [table.pools[table.serving[key]] if key in table.serving else () for key in keys]
        return bool(pools) and all(any(self._probe(instance.name).healthy for instance in pool) for pool in pools)

    def _probe(self, name: str) -> Probe:
        self._engine.settle()
        container = self._engine.all.get(name)
        if container is None:
            return Probe(healthy=False)
        runs = container.state is ContainerState.RUNNING
        healthy = container.is_healthy(self._engine.clock.now())
        return Probe(healthy, container.behaviour.active_requests if runs else 0, "127.0.0.1", container.port)

    def _table(self) -> Table:
        if not self._is_running():
            raise WorldError("the gateway does not answer")
        return self._engine.tables.get(self._name, Table())

    def _is_running(self) -> bool:
        return self._probe(self._name).healthy

    def change(self, change: Callable[[Table], Table]) -> None:
        """Somebody has changed its table behind our back."""
        self._change(change)

    def _change(self, change: Callable[[Table], Table]) -> None:
        with self._lock:
            self._engine.tables[self._name] = change(self._table())
