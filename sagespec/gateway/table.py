"""The gateway's table: which endpoint goes to which instances, and its changes as values. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sagespec.errors import WorldError
from sagespec.state.doors import NO_DOORS, Doors, doors_as_json, doors_from_json
from sagespec.state.limits import Limits
from sagespec.state.observed import Route, Target

FORMAT = 1  # of the table; a release that raises it must still read the one before
_LENDING = "-lends"
_MODEL = re.compile(r"=([a-zA-Z0-9-]+@\d+)")
_LIMITS = re.compile(r"-(\d+)\+(\d+)$")  # in a pool's name
FORMER_POOLS = 16  # of an endpoint that are remembered: more than it gets while one request is being sent


class TargetKey(NamedTuple):
    """What a target is known by, in Envoy's statistics too."""

    endpoint_name: str
    variant: str
    hash: str

    def __str__(self) -> str:
        return "/".join(self)


class Instance(NamedTuple):
    """A container's name, and where the gateway reaches it."""

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class Table:
    """All that the gateway is given.

    routes: by endpoint name; one without targets is of an endpoint whose first instances are being probed.
    probed: instances that are watched and get no requests. pools: instances by pool name. serving: the pool
    that a target's requests go to; one that has none gets no requests. former: names of pools that served before,
    the latest last. Envoy decides on a request's pool when it begins to come, and asks for it when all has come.
    doors: who may ask.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    probed: Mapping[TargetKey, tuple[Instance, ...]] = field(default_factory=dict)
    pools: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    serving: Mapping[TargetKey, str] = field(default_factory=dict)
    former: tuple[str, ...] = ()
    doors: Doors = NO_DOORS

    def heirs(self) -> Mapping[str, str]:
        """Which pool gets the requests that ask for a former one that is gone: the one of the same target if there
        is one, else of the same variant, else of the endpoint."""
        weights = {
            TargetKey(name, t.variant, t.hash): t.weight for name, route in self.routes.items() for t in route.targets
        }
        by_endpoint: dict[str, list[TargetKey]] = {}
        for key in sorted(self.serving):
            by_endpoint.setdefault(key.endpoint_name, []).append(key)

        def heir(former: TargetKey) -> TargetKey:
            return max(
                by_endpoint[former.endpoint_name],
                key=lambda key: (key == former, key.variant == former.variant, weights.get(key, 0.0)),
            )

        gone = {name: key_of(name) for name in self.former if name not in self.pools}
        return {name: self.serving[heir(key)] for name, key in gone.items() if key.endpoint_name in by_endpoint}

    def names(self) -> frozenset[str]:
        """The containers it knows, but for those that are only left over in a pool of others."""
        routed = (name for r in self.routes.values() for t in r.targets for name in (*t.instances, *t.draining))
        return frozenset(routed) | {instance.name for group in self.probed.values() for instance in group}


Places = Mapping[str, tuple[str, int]]


def with_route(table: Table, endpoint_name: str, route: Route | None, places: Places) -> Table:
    """The table with `route` for `endpoint`; None takes it away.

    places: host and port by name of all containers that run. An instance that was never among them gets
    no requests; one that is probed and no longer among them is given up.
    """
    route = route or Route(endpoint_name, ())
    known = _instances(table, endpoint_name) | {name: Instance(name, *address) for name, address in places.items()}
    served = {
        TargetKey(endpoint_name, target.variant, target.hash): [
            known[name] for name in target.instances if name in known
        ]
        for target in route.targets
    }
    named = {name for target in route.targets for name in (*target.instances, *target.draining)}
    probed = {
        key: [instance for instance in group if instance.name in places and instance.name not in named]
        for key, group in table.probed.items()
        if key.endpoint_name == endpoint_name
    }
    return _with_endpoint(table, route, served, probed)


def with_probed(table: Table, endpoint_name: str, target: Target, places: Places) -> Table:
    """The table in which the target's instances are probed and get no requests.

    Those that the live route names (they died and were started again) are taken out of it, unless they are all
    it has: then its requests go to where they are now.
    """
    key = TargetKey(endpoint_name, target.variant, target.hash)
    route, served, probed = _endpoint(table, endpoint_name)
    live = route.target(target.variant, target.hash)
    staying = tuple(name for name in live.instances if name not in target.instances) if live else ()
    if live and staying:
        targets = tuple(replace(live, instances=staying) if other is live else other for other in route.targets)
        route = replace(route, targets=targets)
        served[key] = [instance for instance in served.get(key, []) if instance.name in staying]
    elif live:
        served[key] = [_moved(instance, places) for instance in served.get(key, [])]
    serving = {instance.name for instance in served.get(key, [])}
    others = [instance for instance in probed.get(key, []) if instance.name not in target.instances]
    new = [Instance(name, *places[name]) for name in target.instances if name in places and name not in serving]
    probed[key] = [*others, *new]
    return _with_endpoint(table, route, served, probed, {key: target.model})


def forgetting(table: Table, endpoint_name: str, container_name: str) -> Table:
    """The table that knows nothing of a container. A target of no weight goes with its last one."""
    route, served, probed = _endpoint(table, endpoint_name)
    rest = (
        replace(
            target,
            instances=tuple(name for name in target.instances if name != container_name),
            draining=tuple(name for name in target.draining if name != container_name),
        )
        for target in route.targets
    )
    return _with_endpoint(
        table,
        replace(route, targets=tuple(t for t in rest if t.instances or t.draining or t.weight)),
        {key: [instance for instance in group if instance.name != container_name] for key, group in served.items()},
        {key: [instance for instance in group if instance.name != container_name] for key, group in probed.items()},
    )


Groups = dict[TargetKey, list[Instance]]


def _endpoint(table: Table, endpoint_name: str) -> tuple[Route, Groups, Groups]:
    """What the table holds of an endpoint: its route, whom it serves from, whom it probes."""
    route = table.routes.get(endpoint_name, Route(endpoint_name, ()))
    served = {key: list(table.pools[pool]) for key, pool in table.serving.items() if key.endpoint_name == endpoint_name}
    probed = {key: list(group) for key, group in table.probed.items() if key.endpoint_name == endpoint_name}
    return route, served, probed


def _with_endpoint(
    table: Table, route: Route, served: Groups, probed: Groups, models: Mapping[TargetKey, str] | None = None
) -> Table:
    """The table with all of an endpoint replaced. models: of what is probed, and in no route yet.

    An old pool lives on while it holds an instance that is draining or probed: Envoy counts the requests in
    flight, and how long an instance has been healthy, by pool.
    """
    endpoint_name = route.endpoint_name
    keep = {
        (TargetKey(endpoint_name, target.variant, target.hash), name)
        for target in route.targets
        for name in target.draining
    }
    before = _pools(table, endpoint_name)
    pools = {
        name: pool
        for name, pool in before.items()
        if any((key_of(name), instance.name) in keep or instance in probed.get(key_of(name), ()) for instance in pool)
    }
    models = dict(models or {}) | {TargetKey(endpoint_name, t.variant, t.hash): t.model for t in route.targets}
    serving = {key: _pool_name(key, group, route, models.get(key, "")) for key, group in served.items() if group}
    pools |= {pool: tuple(sorted(served[key])) for key, pool in serving.items()}
    for key, group in probed.items():
        there = {instance for name, pool in pools.items() if key_of(name) == key for instance in pool}
        if missing := [instance for instance in group if instance not in there]:
            pools[_pool_name(key, missing, route, models.get(key, ""))] = tuple(sorted(missing))

    names = _names(table, endpoint_name)
    known = (*(name for name in table.former if name not in names), *names)
    former = [name for name in known if name.startswith(f"{endpoint_name}/") and name not in serving.values()]
    others = {name: pool for name, pool in table.pools.items() if name not in before}
    routes = {name: other for name, other in table.routes.items() if name != endpoint_name}
    if route.targets or any(probed.values()):
        routes[endpoint_name] = route
    return Table(
        routes=routes,
        probed={key: group for key, group in table.probed.items() if key.endpoint_name != endpoint_name}
        | {key: tuple(sorted(group)) for key, group in probed.items() if group},
        pools=others | pools,
        serving={key: pool for key, pool in table.serving.items() if key.endpoint_name != endpoint_name} | serving,
        former=(
            *(name for name in table.former if not name.startswith(f"{endpoint_name}/")),
            *(former[-FORMER_POOLS * max(1, len(names)) :] if endpoint_name in routes else ()),
        ),
        doors=table.doors,
    )


def _names(table: Table, endpoint_name: str) -> list[str]:
    """What the routes of an endpoint name, and what they would with all instances there."""
    serving = {key: pool for key, pool in table.serving.items() if key.endpoint_name == endpoint_name}
    route = table.routes.get(endpoint_name, Route(endpoint_name, ()))
    variants = sorted({target.variant for target in route.targets}) if route.lends else ()
    return [*serving.values(), *(lending_name(key, variant) for key in serving for variant in variants)]


def _pools(table: Table, endpoint_name: str) -> dict[str, tuple[Instance, ...]]:
    return {name: pool for name, pool in table.pools.items() if name.startswith(f"{endpoint_name}/")}


def _instances(table: Table, endpoint_name: str) -> dict[str, Instance]:
    """Last known places of an endpoint's containers."""
    _, served, probed = _endpoint(table, endpoint_name)
    groups = (*_pools(table, endpoint_name).values(), *served.values(), *probed.values())
    return {instance.name: instance for group in groups for instance in group}


def _moved(instance: Instance, places: Places) -> Instance:
    """The instance where it is now; one that does not run is expected where it was."""
    return Instance(instance.name, *places.get(instance.name, instance[1:]))


def _pool_name(key: TargetKey, instances: Iterable[Instance], route: Route, model: str) -> str:
    """A pool that may lend its share, or has other limits, is another one: its cluster is. One that lends names its
    model, as its instances do."""
    limits = f"-{route.limits.concurrency}+{route.limits.queue}" if route.limits else ""
    lends = _LENDING if route.lends else ""
    named = f"={model}" if model and lends else ""
    return f"{key}/{digest_of(json.dumps(sorted(instances)).encode())[:8]}{named}{limits}{lends}"


def model_of(pool_name: str) -> str:
    """The model that the name of a lending pool tells; '' for none."""
    found = _MODEL.search(pool_name)
    return found[1] if found else ""


def limits_of(pool_name: str) -> Limits | None:
    """How many requests its instances take at once and let wait; None for all that come."""
    found = _LIMITS.search(pool_name.removesuffix(_LENDING))
    return Limits(int(found[1]), int(found[2])) if found else None


def is_lending(pool_name: str) -> bool:
    return pool_name.endswith(_LENDING)


def lending_name(key: TargetKey, borrower: str) -> str:
    """Of the cluster that lends a target's share to a variant. It stays, whatever the pools are."""
    return f"{key}/to-{borrower}"


def key_of(pool_name: str) -> TargetKey:
    endpoint_name, variant, hash_text, _ = pool_name.split("/")
    return TargetKey(endpoint_name, variant, hash_text)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def table_as_json(table: Table) -> dict[str, Any]:
    doors = {"doors": doors_as_json(table.doors)} if table.doors != NO_DOORS else {}
    return doors | {
        "format": FORMAT,
        "routes": {
            name: [[t.variant, t.hash, t.weight, t.instances, t.draining] for t in route.targets]
            for name, route in sorted(table.routes.items())
        },
        "probed": [[*key, group] for key, group in sorted(table.probed.items())],
        "pools": dict(sorted(table.pools.items())),
        "serving": [table.serving[key] for key in sorted(table.serving)],
        "former": table.former,
        **({"keys": keys} if (keys := {n: r.key for n, r in sorted(table.routes.items()) if r.key}) else {}),
        **(
            {"limits": limits} if (limits := {n: r.limits for n, r in sorted(table.routes.items()) if r.limits}) else {}
        ),
        **({"models": models} if (models := _models(table)) else {}),
        **({"lends": lends} if (lends := [n for n, r in sorted(table.routes.items()) if r.lends]) else {}),
    }


def _models(table: Table) -> dict[str, dict[str, str]]:
    """Of the routes' targets, by endpoint and `variant/hash`."""
    found = {
        name: {f"{target.variant}/{target.hash}": target.model for target in route.targets if target.model}
        for name, route in sorted(table.routes.items())
    }
    return {name: models for name, models in found.items() if models}


def table_from_json(value: Mapping[str, Any]) -> Table:
    if value["format"] != FORMAT:
        raise WorldError(
            "the gateway has its routes from another release of sagespec",
            why=f"they are in format {value['format']:g}, and this release reads {FORMAT}",
            fix="use that release, or set everything up again with sagespec destroy and apply",
        )
    keys, lends, limits = value.get("keys", {}), value.get("lends", ()), value.get("limits", {})  # of later releases
    models = value.get("models", {})
    routes = {
        name: Route(
            name,
            tuple(
                Target(v, h, float(weight), tuple(ready), tuple(old), models.get(name, {}).get(f"{v}/{h}", ""))
                for v, h, weight, ready, old in targets
            ),
            keys.get(name, ""),
            name in lends,
            Limits(*limits[name]) if name in limits else None,
        )
        for name, targets in value["routes"].items()
    }

    def instances(group: Iterable[Sequence[Any]]) -> tuple[Instance, ...]:
        return tuple(Instance(name, host, int(port)) for name, host, port in group)

    return Table(
        routes=routes,
        probed={TargetKey(*key): instances(group) for *key, group in value["probed"]},
        pools={name: instances(pool) for name, pool in value["pools"].items()},
        serving={key_of(pool): pool for pool in value["serving"]},
        former=tuple(value.get("former", ())),
        doors=doors_from_json(value["doors"]) if "doors" in value else NO_DOORS,
    )
