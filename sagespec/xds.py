"""Routes to Envoy's documents and back: what the gateway is told, and what it says of itself. Pure.

Envoy follows two files. `cds.json` holds the pools: one Envoy cluster for each set of equal instances
that is served from, probed or drained. `rds.json` holds the routes, and in its metadata the table they
were made from, so that the live table can be read back from Envoy alone.

A pool never changes. Other instances are another pool, which Envoy first probes and then swaps in with
the routes, while the pool it replaces lives on for the requests in flight. (Endpoint discovery from
files, the other way to change instances, takes one inotify instance a cluster, of which Linux gives a
user 128: Envoy aborts at the next one.) Statistics are kept by target, whatever pool it is served from.

Called by `gateway`, which does the writing and the asking.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sagespec.errors import InternalError
from sagespec.state import Probe, Route, Target

CDS, RDS = "gateway/cds.json", "gateway/rds.json"
TABLE_FORMAT = 1

# What to ask Envoy's admin port for; the answers are what the functions at the end read.
ROUTES_PATH = "/config_dump?resource=dynamic_route_configs&mask=route_config.metadata"
POOLS_PATH = "/clusters?format=json"
COUNTERS_PATH = "/stats?format=json&filter=upstream_rq_"
VERSIONS_PATH = "/stats?format=json&type=All&filter=(version_text|update_rejected)$"

ENVOY = "type.googleapis.com/envoy"
METADATA = "sagespec"
TOTAL_WEIGHT = 2**31
MAX_BODY_BYTES = 25 * 2**20  # SageMaker's limit for real-time endpoints
MAX_INFERENCE_ID, MAX_CUSTOM_ATTRIBUTES = 64, 1024
CONNECT_SECONDS = 1.0
# Below what servers keep idle connections for (gunicorn's 2 s are the shortest of the common ones), so that a
# request never meets a connection that is just being closed. A new one takes a tenth of a millisecond.
IDLE_SECONDS = 1.5
RETRIES = 3
UNLIMITED = 2**30

# What a client signs and traces with is none of the model's business.
DROPPED_HEADERS = (
    "authorization",
    "cookie",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amzn-trace-id",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
)


class TargetKey(NamedTuple):
    """What a target is known by, also in Envoy's statistics."""

    endpoint: str
    variant: str
    hash: str

    def __str__(self) -> str:
        return "/".join(self)


class Instance(NamedTuple):
    """A container by name, and where the gateway reaches it."""

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class Table:
    """All that the gateway is told.

    routes: by endpoint name; one without targets belongs to an endpoint that is only being probed yet.
    pools: instances by pool name. serving: the pool that a target's requests go to; a target without one
    gets no requests.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    pools: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    serving: Mapping[TargetKey, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counters:
    """Of one target, since the gateway started. Errors are what the model answered, and requests it did not
    answer in time. Latencies in milliseconds from the gateway to the model and back; None without requests."""

    requests: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    active: int = 0
    p50: float | None = None
    p99: float | None = None

    @property
    def errors(self) -> int:
        return self.errors_4xx + self.errors_5xx


# -- tables ----------------------------------------------------------------------------------------


def pool_name(key: TargetKey, instances: Iterable[Instance]) -> str:
    text = json.dumps(sorted(instances))
    return f"{key}/{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def pool_key(name: str) -> TargetKey:
    endpoint, variant, hash_text, _ = name.split("/")
    return TargetKey(endpoint, variant, hash_text)


def with_route(
    table: Table, endpoint: str, route: Route | None, addresses: Mapping[str, tuple[str, int]]
) -> Table:
    """The table with `route` for `endpoint`; None takes it away.

    An instance without an address gets no requests. Pools live on as long as they hold an instance that
    is draining, or one that no route has named yet (it is probed).
    """
    known = {instance.name: (instance.host, instance.port) for _, pool in _pools_of(table, endpoint) for instance in pool}
    known |= addresses
    targets = tuple(sorted(route.targets)) if route else ()
    before = table.routes.get(endpoint)
    named = set(_names(before)) | set(_names(route))
    kept = {name for target in targets for name in target.draining}

    serving = {key: pool for key, pool in table.serving.items() if key.endpoint != endpoint}
    pools = {name: pool for name, pool in table.pools.items() if pool_key(name).endpoint != endpoint}
    for name, pool in _pools_of(table, endpoint):
        if any(instance.name in kept or instance.name not in named for instance in pool):
            pools[name] = pool
    for target in targets:
        instances = tuple(Instance(name, *known[name]) for name in sorted(target.instances) if name in known)
        if instances:
            key = TargetKey(endpoint, target.variant, target.hash)
            serving[key] = pool_name(key, instances)
            pools[serving[key]] = instances
    return _tidy(table, endpoint, Route(endpoint, targets), pools, serving)


def with_probed(table: Table, endpoint: str, target: Target, addresses: Mapping[str, tuple[str, int]]) -> Table:
    """The table in which the target's instances are probed and get no requests.

    Those that the live route names (they died and were started again) are taken out of it, unless nobody
    would be left to answer.
    """
    key = TargetKey(endpoint, target.variant, target.hash)
    awaited = set(target.instances)
    route = table.routes.get(endpoint)
    live = route.target(target.variant, target.hash) if route else None
    if route and live and awaited.intersection(live.instances) and not awaited.issuperset(live.instances):
        rest = Target(
            live.variant,
            live.hash,
            live.weight,
            tuple(name for name in live.instances if name not in awaited),
            live.draining,
        )
        targets = tuple(rest if other is live else other for other in route.targets)
        table = with_route(table, endpoint, Route(endpoint, targets), addresses)
    probed = {instance for name, pool in _pools_of(table, endpoint) if pool_key(name) == key for instance in pool}
    wanted = (Instance(name, *addresses[name]) for name in sorted(awaited) if name in addresses)
    new = tuple(instance for instance in wanted if instance not in probed)
    pools = dict(table.pools)
    if new:
        pools[pool_name(key, new)] = new
    return _tidy(table, endpoint, table.routes.get(endpoint, Route(endpoint, ())), pools, table.serving)


def without(table: Table, endpoint: str, container_name: str) -> Table:
    """The table that knows nothing of a container. A target nobody is left of goes with it."""
    route = table.routes.get(endpoint, Route(endpoint, ()))
    targets = tuple(_without_name(target, container_name) for target in route.targets)
    targets = tuple(target for target in targets if target.instances or target.draining or target.weight)
    serving, pools = dict(table.serving), dict(table.pools)
    for name, pool in _pools_of(table, endpoint):
        rest = tuple(instance for instance in pool if instance.name != container_name)
        if rest == pool:
            continue
        key = pool_key(name)
        if serving.get(key) == name:
            del pools[name], serving[key]
            if rest:
                serving[key] = pool_name(key, rest)
                pools[serving[key]] = rest
        elif not _is_waited_for(rest, route, key, serving, pools):
            del pools[name]
    return _tidy(table, endpoint, Route(endpoint, targets), pools, serving)
