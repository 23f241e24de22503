"""Routes to Envoy's documents and back: what the gateway is told, and what it says of itself. Pure.

Envoy follows two files. `cds.json` holds the pools: one Envoy cluster for each set of equal instances
that is served from, probed or drained. `rds.json` holds the routes and, in its metadata, the whole table
they were made from; so the live table is read back from Envoy alone, and taking up `rds.json` is the
moment a change counts.

A pool never changes. Other instances are another pool, which Envoy probes before the routes go over to
it, while the old one lives on for the requests in flight. (Changing instances by endpoint discovery
takes one inotify instance a cluster when it comes from files; Linux gives a user 128, and Envoy aborts
at the next.) Statistics are kept by target, whatever pool serves it.

Called by `gateway`, which does the writing and the asking.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sagespec.errors import WorldError
from sagespec.state import Probe, Route, Target

CDS, RDS = "gateway/cds.json", "gateway/rds.json"

# What to ask Envoy's admin port for; the functions at the end read the answers.
TABLE_PATH = "/config_dump?resource=dynamic_route_configs&mask=route_config.metadata"
POOLS_PATH = "/clusters?format=json"
VERSIONS_PATH = "/stats?format=json&type=All&filter=(version_text|update_rejected)$"
COUNTERS_PATH = "/stats?format=json&filter=(upstream_rq_|xx$)"

# SageMaker's limits: InvokeEndpoint in its API reference.
MAX_LENGTHS = {
    "x-amzn-sagemaker-inference-id": ("inferenceId", 64),
    "x-amzn-sagemaker-custom-attributes": ("customAttributes", 1024),
}
INVOCATION_SECONDS = 60.0
PING_SECONDS = 2.0

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

CONNECT_SECONDS = 1.5  # long enough for a SYN that was lost and is sent again after a second
# Shorter than any common server keeps an idle connection (gunicorn: 2 s), so that no request meets one that is
# just being closed. A new connection takes a tenth of a millisecond.
IDLE_SECONDS = 1.5
RETRIES = 2  # enough for two that die at once; a request that kills whoever reads it kills one more than this
PICKS = 100  # tries to find an instance that has not failed this request; the idle dead one looks the best
RESENDABLE_BYTES = 25 * 2**20  # kept until answered, to be sent again: as large as images/gateway lets requests be
UNLIMITED = 2**30
TOTAL_WEIGHT = 2**31

TYPES = "type.googleapis.com/envoy"
NAMESPACE = "sagespec"
FORMAT = 1  # of the table; a release that raises it must still read the one before


class TargetKey(NamedTuple):
    """What a target is known by, in Envoy's statistics too."""

    endpoint: str
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
    """All that the gateway is told.

    routes: by endpoint name; one without targets is of an endpoint whose first instances are being probed.
    probed: instances that are watched and get no requests. pools: instances by pool name. serving: the pool
    that a target's requests go to; one that has none gets no requests.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    probed: Mapping[TargetKey, tuple[Instance, ...]] = field(default_factory=dict)
    pools: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    serving: Mapping[TargetKey, str] = field(default_factory=dict)

    def names(self) -> frozenset[str]:
        """The containers it knows, but for those that are only left over in a pool of others."""
        routed = (name for r in self.routes.values() for t in r.targets for name in (*t.instances, *t.draining))
        return frozenset(routed) | {instance.name for group in self.probed.values() for instance in group}


class Document(NamedTuple):
    """A file Envoy follows; `version` is a hash of what it says."""

    path: str
    version: str
    content: bytes


@dataclass(frozen=True)
class Counters:
    """Of one target, since the gateway started. Errors are what the model answered, and requests it did not
    answer. p50 and p99 are milliseconds from the gateway to the model and back, since the target's instances last
    changed; None without requests."""

    requests: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    active: int = 0
    p50: float | None = None
    p99: float | None = None

    @property
    def errors(self) -> int:
        return self.errors_4xx + self.errors_5xx


# -- changes of the table --------------------------------------------------------------------------

Addresses = Mapping[str, tuple[str, int]]


def with_route(table: Table, endpoint: str, route: Route | None, addresses: Addresses) -> Table:
    """The table with `route` for `endpoint`; None takes it away.

    addresses: host and port by name of all containers that run. An instance that was never among them gets
    no requests; one that is probed and no longer among them is given up.
    """
    targets = route.targets if route else ()
    known = _instances(table, endpoint) | {name: Instance(name, *address) for name, address in addresses.items()}
    served = {
        TargetKey(endpoint, target.variant, target.hash): [known[name] for name in target.instances if name in known]
        for target in targets
    }
    named = {name for target in targets for name in (*target.instances, *target.draining)}
    probed = {
        key: [instance for instance in group if instance.name in addresses and instance.name not in named]
        for key, group in table.probed.items()
        if key.endpoint == endpoint
    }
    return _with_endpoint(table, endpoint, targets, served, probed)


def with_probed(table: Table, endpoint: str, target: Target, addresses: Addresses) -> Table:
    """The table in which the target's instances are probed and get no requests.

    Those that the live route names (they died and were started again) are taken out of it, unless they are all
    it has.
    """
    key = TargetKey(endpoint, target.variant, target.hash)
    targets, served, probed = _endpoint(table, endpoint)
    live = table.routes[endpoint].target(target.variant, target.hash) if endpoint in table.routes else None
    staying = tuple(name for name in live.instances if name not in target.instances) if live else ()
    if live and staying:
        targets = tuple(replace(live, instances=staying) if other is live else other for other in targets)
        served[key] = [instance for instance in served.get(key, []) if instance.name in staying]
    serving = {instance.name for instance in served.get(key, [])}
    others = [instance for instance in probed.get(key, []) if instance.name not in target.instances]
    new = [Instance(name, *addresses[name]) for name in target.instances if name in addresses and name not in serving]
    probed[key] = [*others, *new]
    return _with_endpoint(table, endpoint, targets, served, probed)


def without(table: Table, endpoint: str, container_name: str) -> Table:
    """The table that knows nothing of a container. A target of no weight goes with its last one."""
    targets, served, probed = _endpoint(table, endpoint)
    rest = (
        replace(
            target,
            instances=tuple(name for name in target.instances if name != container_name),
            draining=tuple(name for name in target.draining if name != container_name),
        )
        for target in targets
    )
    return _with_endpoint(
        table,
        endpoint,
        tuple(target for target in rest if target.instances or target.draining or target.weight),
        {key: [instance for instance in group if instance.name != container_name] for key, group in served.items()},
        {key: [instance for instance in group if instance.name != container_name] for key, group in probed.items()},
    )


Groups = dict[TargetKey, list[Instance]]


def _endpoint(table: Table, endpoint: str) -> tuple[tuple[Target, ...], Groups, Groups]:
    """What the table holds of an endpoint: its targets, whom it serves from, whom it probes."""
    route = table.routes.get(endpoint)
    served = {key: list(table.pools[pool]) for key, pool in table.serving.items() if key.endpoint == endpoint}
    probed = {key: list(group) for key, group in table.probed.items() if key.endpoint == endpoint}
    return (route.targets if route else (), served, probed)


def _with_endpoint(table: Table, endpoint: str, targets: Iterable[Target], served: Groups, probed: Groups) -> Table:
    """The table with all of an endpoint replaced.

    An old pool lives on while it holds an instance that is draining or probed: Envoy counts the requests in
    flight, and how long an instance has been healthy, by pool.
    """
    route = Route(endpoint, tuple(sorted(targets)))
    keep = {
        (TargetKey(endpoint, target.variant, target.hash), name) for target in route.targets for name in target.draining
    }
    before = _pools(table, endpoint)
    pools = {
        name: pool
        for name, pool in before.items()
        if any((_key(name), instance.name) in keep or instance in probed.get(_key(name), ()) for instance in pool)
    }
    serving = {key: _pool_name(key, group) for key, group in served.items() if group}
    pools |= {pool: tuple(sorted(served[key])) for key, pool in serving.items()}
    for key, group in probed.items():
        there = {instance for name, pool in pools.items() if _key(name) == key for instance in pool}
        if missing := [instance for instance in group if instance not in there]:
            pools[_pool_name(key, missing)] = tuple(sorted(missing))

    others = {name: pool for name, pool in table.pools.items() if name not in before}
    routes = {name: other for name, other in table.routes.items() if name != endpoint}
    if route.targets or any(probed.values()):
        routes[endpoint] = route
    return Table(
        routes=routes,
        probed={key: group for key, group in table.probed.items() if key.endpoint != endpoint}
        | {key: tuple(sorted(group)) for key, group in probed.items() if group},
        pools=others | pools,
        serving={key: pool for key, pool in table.serving.items() if key.endpoint != endpoint} | serving,
    )


def _pools(table: Table, endpoint: str) -> dict[str, tuple[Instance, ...]]:
    return {name: pool for name, pool in table.pools.items() if name.startswith(f"{endpoint}/")}


def _instances(table: Table, endpoint: str) -> dict[str, Instance]:
    """Last known places of an endpoint's containers."""
    _, served, probed = _endpoint(table, endpoint)
    groups = (*_pools(table, endpoint).values(), *served.values(), *probed.values())
    return {instance.name: instance for group in groups for instance in group}


def _pool_name(key: TargetKey, instances: Iterable[Instance]) -> str:
    return f"{key}/{_digest(json.dumps(sorted(instances)).encode())[:8]}"


def _key(pool_name: str) -> TargetKey:
    endpoint, variant, hash_text, _ = pool_name.split("/")
    return TargetKey(endpoint, variant, hash_text)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


# -- documents -------------------------------------------------------------------------------------


def steps(old: Table, new: Table, *, invocation_seconds: float = INVOCATION_SECONDS) -> Iterator[Document]:
    """What Envoy must take up, one after the other, to come from `old` to `new` without a route to nowhere."""
    both = {**old.pools, **new.pools}
    yield pools_document(both)
    yield routes_document(new, invocation_seconds=invocation_seconds)
    if both.keys() != new.pools.keys():
        yield pools_document(new.pools)


def pools_document(pools: Mapping[str, tuple[Instance, ...]]) -> Document:
    return _document(CDS, [_cluster(name, pools[name]) for name in sorted(pools)])


def routes_document(table: Table, *, invocation_seconds: float = INVOCATION_SECONDS) -> Document:
    endpoints = {
        f"/endpoints/{name}/": _on_match(_endpoint_routes(table, table.routes[name], f"{invocation_seconds:.3f}s"))
        for name in sorted(table.routes)
    }
    by_path = {
        "input": _input("request-headers", ":path"),
        "prefix_match_map": {"map": {"/ping": _on_match([_ping(), _refuse("unknown")]), **endpoints}},
    }
    found = {"matcher_tree": by_path, "on_no_match": _on_match([_refuse("unknown")])}
    routes = {
        "@type": f"{TYPES}.config.route.v3.RouteConfiguration",
        "name": "endpoints",
        "metadata": {"filter_metadata": {NAMESPACE: _table_as_json(table)}},
        "request_headers_to_remove": DROPPED_HEADERS,
        "response_headers_to_add": [_header("x-amzn-requestid", "%REQ(x-request-id)%")],
        "response_headers_to_remove": ["x-amzn-errortype"],  # the gateway's own mark
        "virtual_hosts": [
            {
                "name": "endpoints",
                "domains": ["*"],
                "retry_policy": _retry_policy(),
                "request_body_buffer_limit": RESENDABLE_BYTES,
                "matcher": {"matcher_list": {"matchers": _limits()}, "on_no_match": {"matcher": found}},
            }
        ],
    }
    return _document(RDS, [routes])


def _document(path: str, resources: Sequence[Mapping[str, Any]]) -> Document:
    body = json.dumps(resources, separators=(",", ":"))
    version = _digest(body.encode())
    return Document(path, version, f'{{"version_info":"{version}","resources":{body}}}\n'.encode())


def _cluster(name: str, pool: Sequence[Instance]) -> dict[str, Any]:
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "alt_stat_name": str(_key(name)),
        "type": "STATIC",
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_lb_endpoint(instance) for instance in pool]}],
        },
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "circuit_breakers": {
            "thresholds": [
                dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED)
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _lb_endpoint(instance: Instance) -> dict[str, Any]:
    address = {"socket_address": {"address": instance.host, "port_value": instance.port}}
    return {"endpoint": {"hostname": instance.name, "address": address}}


def _health_check() -> dict[str, Any]:
    """GET /ping: often until the first success, calmly then; three failures in a row end it.

    Envoy takes the no_traffic intervals while a pool has had no connections, as far as its statistics tell,
    and we keep none of those: both kinds say the same.
    """
    soon, calm = "0.25s", "2s"
    return {
        "timeout": f"{PING_SECONDS}s",
        "interval": calm,
        "no_traffic_healthy_interval": calm,
        "healthy_edge_interval": calm,
        "unhealthy_interval": soon,
        "unhealthy_edge_interval": soon,
        "no_traffic_interval": soon,
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "reuse_connection": False,  # an idle one would block a server that has a single thread
        "http_health_check": {
            "path": "/ping",
            "host": "localhost",
            "retriable_statuses": [{"start": 100, "end": 200}, {"start": 201, "end": 600}],
        },
    }


def _outlier_detection() -> dict[str, Any]:
    """An instance that refuses a connection is out until its next good /ping, unless it is the last one left.

    What it answers is never held against it: a model's errors are the caller's to see.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 1,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "base_ejection_time": "30s",
        "max_ejection_percent": 99,
    }


def _retry_policy() -> dict[str, Any]:
    """Requests that got no answer at all are sent to another instance, so that one that is killed costs nobody
    anything. A prediction changes nothing; an answer that has begun is never repeated."""
    return {
        "retry_on": "connect-failure,refused-stream,reset",
        "num_retries": RETRIES,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": PICKS,
    }


# -- routes ----------------------------------------------------------------------------------------

LUA = "envoy.filters.http.lua"
VARIANT_HEADER = "x-amzn-sagemaker-target-variant"


def _endpoint_routes(table: Table, route: Route, timeout: str) -> list[dict[str, Any]]:
    """What becomes of requests below /endpoints/<name>/; the first match wins, and most are for the first."""
    by_variant: dict[str, list[tuple[Target, str]]] = {}
    for target in route.targets:
        pool = table.serving.get(TargetKey(route.endpoint, target.variant, target.hash))
        if pool:
            by_variant.setdefault(target.variant, []).append((target, pool))
    split = [choice for choices in by_variant.values() for choice in choices if choice[0].weight > 0]
    untargeted = {"name": VARIANT_HEADER, "present_match": False}
    routes = [_forward(route.endpoint, split, untargeted, timeout)] if split else []
    for variant, choices in sorted(by_variant.items()):
        weighted = [choice for choice in choices if choice[0].weight > 0] or choices[-1:]
        targeted = {"name": VARIANT_HEADER, "string_match": {"exact": variant}}
        routes.append(_forward(route.endpoint, weighted, targeted, timeout))
    return [*routes, _refuse("unavailable")]


def _forward(
    endpoint: str, choices: Sequence[tuple[Target, str]], header: Mapping[str, Any], timeout: str
) -> dict[str, Any]:
    weights = whole_weights([target.weight for target, _ in choices])
    clusters = [
        {
            "name": pool,
            "weight": weight,
            "response_headers_to_add": [_header("x-amzn-invoked-production-variant", target.variant)],
            "typed_per_filter_config": {
                LUA: {
                    "@type": f"{TYPES}.extensions.filters.http.lua.v3.LuaPerRoute",
                    "filter_context": {"target": str(_key(pool))},
                }
            },
        }
        for (target, pool), weight in zip(choices, weights, strict=True)
    ]
    return {
        "name": endpoint,
        "match": {
            "path": f"/endpoints/{endpoint}/invocations",
            "headers": [{"name": ":method", "string_match": {"exact": "POST"}}, header],
        },
        "route": {
            "weighted_clusters": {"clusters": clusters},
            "prefix_rewrite": "/invocations",
            "timeout": timeout,
        },
    }


def whole_weights(weights: Sequence[float]) -> list[int]:
    """Envoy's whole numbers in the same proportion; equal ones when all are 0.

    >>> whole_weights([90, 10])
    [1932735283, 214748365]
    """
    total = math.fsum(weights)
    if not total:
        return [1] * len(weights)
    return [max(round(weight / total * TOTAL_WEIGHT), 1) for weight in weights]


def _ping() -> dict[str, Any]:
    """The gateway's own health."""
    return {"match": {"path": "/ping"}, "direct_response": {"status": 200}}


def _refuse(reason: str, **facts: str) -> dict[str, Any]:
    """Answered by refusals.lua, before the route's own action would be."""
    return {
        "match": {"prefix": "/"},
        "metadata": {"filter_metadata": {LUA: {"reason": reason, **facts}}},
        "typed_per_filter_config": {
            LUA: {
                "@type": f"{TYPES}.extensions.filters.http.lua.v3.LuaPerRoute",
                "name": "refusals",
            }
        },
        "direct_response": {"status": 503},
    }


def _limits() -> list[dict[str, Any]]:
    """Requests that are refused whatever they ask for."""

    def header_matches(name: str, regex: str, refusal: Mapping[str, Any]) -> dict[str, Any]:
        predicate = {
            "input": _input("request-headers", name),
            "value_match": {"safe_regex": {"google_re2": {}, "regex": regex}},
        }
        return {"predicate": {"single_predicate": predicate}, "on_match": _on_match([refusal])}

    return [
        header_matches(name, longer_than(limit), _refuse("too-long", member=member, limit=str(limit)))
        for name, (member, limit) in MAX_LENGTHS.items()
    ]


def longer_than(length: int) -> str:
    """A regex for texts of more than `length` characters; in two halves, for one repetition may count to 1,000.

    >>> longer_than(64)
    '.{32}.{33,}'
    """
    half = length // 2
    return f".{{{half}}}.{{{length - half + 1},}}"


def _on_match(routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "action": {
            "name": "route",
            "typed_config": {"@type": f"{TYPES}.config.route.v3.RouteList", "routes": routes},
        }
    }


def _input(name: str, header: str) -> dict[str, Any]:
    return {
        "name": name,
        "typed_config": {"@type": f"{TYPES}.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": header},
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


# -- the table in the routes' metadata ---------------------------------------------------------------


def _table_as_json(table: Table) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "routes": {
            name: [[t.variant, t.hash, t.weight, t.instances, t.draining] for t in route.targets]
            for name, route in sorted(table.routes.items())
        },
        "probed": [[*key, group] for key, group in sorted(table.probed.items())],
        "pools": dict(sorted(table.pools.items())),
        "serving": [table.serving[key] for key in sorted(table.serving)],
    }


def _table_from_json(value: Mapping[str, Any]) -> Table:
    if value["format"] != FORMAT:
        raise WorldError(
            "the gateway has its routes from another release of sagespec",
            why=f"they are in format {value['format']:g}, and this release reads {FORMAT}",
            fix="use that release, or have all set up again with sagespec destroy and apply",
        )
    routes = {
        name: Route(
            name, tuple(Target(v, h, float(weight), tuple(ready), tuple(old)) for v, h, weight, ready, old in targets)
        )
        for name, targets in value["routes"].items()
    }

    def instances(group: Iterable[Sequence[Any]]) -> tuple[Instance, ...]:
        return tuple(Instance(name, host, int(port)) for name, host, port in group)

    return Table(
        routes=routes,
        probed={TargetKey(*key): instances(group) for *key, group in value["probed"]},
        pools={name: instances(pool) for name, pool in value["pools"].items()},
        serving={_key(pool): pool for pool in value["serving"]},
    )


# -- what Envoy says -------------------------------------------------------------------------------


def table_from(answer: bytes) -> Table:
    """The live table, from the answer to TABLE_PATH; an empty one when Envoy has no routes yet."""
    for entry in json.loads(answer).get("configs", ()):
        metadata = entry.get("route_config", {}).get("metadata", {}).get("filter_metadata", {})
        if NAMESPACE in metadata:
            return _table_from_json(metadata[NAMESPACE])
    return Table()


def versions_from(answer: bytes) -> tuple[dict[str, str], int]:
    """Versions of CDS and RDS that Envoy has taken up, and how many updates it rejected, from VERSIONS_PATH."""
    values = {stat["name"]: stat["value"] for stat in json.loads(answer)["stats"] if "name" in stat}
    versions = {
        CDS: str(values.get("cluster_manager.cds.version_text", "")),
        RDS: str(values.get("http.gateway.rds.endpoints.version_text", "")),
    }
    return versions, sum(int(value) for name, value in values.items() if name.endswith("update_rejected"))


def pools_from(answer: bytes) -> frozenset[str]:
    """Names of the pools that may be routed to, from the answer to POOLS_PATH."""
    return frozenset(cluster["name"] for cluster in json.loads(answer).get("cluster_statuses", ()))


def probes_from(answer: bytes, table: Table) -> dict[str, Probe]:
    """What Envoy knows of the table's containers, by name, from the answer to POOLS_PATH.

    One may be in several pools: requests in flight are counted in all, health where it counts.
    """
    wanted, serving = table.names(), frozenset(table.serving.values())
    found: dict[str, tuple[bool, Probe]] = {}
    for cluster in json.loads(answer).get("cluster_statuses", ()):
        for host in cluster.get("host_statuses", ()):
            name = host.get("hostname", "")
            if name not in wanted:
                continue
            seen = _probe(host)
            pool = cluster["name"]
            place = Instance(name, seen.host, seen.port)
            counts = pool in serving or place in table.probed.get(_key(pool), ())
            before = found.get(name)
            if before is not None:
                active = before[1].active_requests + seen.active_requests
                seen = replace(seen if counts or not before[0] else before[1], active_requests=active)
                counts = counts or before[0]
            found[name] = (counts, seen)
    return {name: probe for name, (_, probe) in found.items()}


def _probe(host: Mapping[str, Any]) -> Probe:
    """Ejected for a refused connection is not unhealthy: the next good /ping ends it."""
    health, address = host.get("health_status", {}), host["address"]["socket_address"]
    active = next((int(stat.get("value", 0)) for stat in host.get("stats", ()) if stat["name"] == "rq_active"), 0)
    healthy = not (health.get("failed_active_health_check") or health.get("pending_active_hc"))
    return Probe(healthy, active, address["address"], int(address["port_value"]))


def counters_from(answer: bytes) -> dict[tuple[str, str, str], Counters]:
    """Counters by `TargetKey`, from the answer to COUNTERS_PATH.

    Envoy counts requests by pool, under the target's name; model_errors.lua counts errors.
    """
    numbers: dict[str, dict[str, int]] = {}
    quantiles: dict[str, tuple[float | None, float | None]] = {}
    for stat in json.loads(answer)["stats"]:
        if "histograms" in stat:
            quantiles |= _quantiles(stat["histograms"])
        else:
            target, _, number = _without_scope(stat["name"]).rpartition(".")
            numbers.setdefault(target, {})[number] = int(stat["value"])
    return {
        TargetKey(*target.split("/")): Counters(
            requests=values.get("upstream_rq_completed", 0),
            errors_4xx=values.get("4xx", 0),
            errors_5xx=values.get("5xx", 0),
            active=values.get("upstream_rq_active", 0),
            p50=quantiles.get(target, (None, None))[0],
            p99=quantiles.get(target, (None, None))[1],
        )
        for target, values in numbers.items()
        if "upstream_rq_completed" in values
    }


def _without_scope(stat_name: str) -> str:
    return stat_name.removeprefix("cluster.").removeprefix("http.gateway.lua.")


def _quantiles(histograms: Mapping[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    """p50 and p99 by target, over the gateway's life."""
    at = [histograms.get("supported_quantiles", []).index(percent) for percent in (50, 99)]
    result = {}
    for histogram in histograms.get("computed_quantiles", ()):
        target = _without_scope(histogram["name"]).removesuffix(".upstream_rq_time")
        values = [histogram["values"][index]["cumulative"] for index in at]
        result[target] = (values[0], values[1])
    return result
