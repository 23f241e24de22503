"""A table to the files that Envoy follows, and the order in which they change. Pure.

Envoy follows two files. `cds.json` holds the pools: one Envoy cluster for each set of equal instances
that is served from, probed or drained. `rds.json` holds the routes and, in its metadata, the whole table
they were made from; so the live table is read back from Envoy alone, and the moment Envoy loads `rds.json` is the
moment a change counts.

A pool never changes. Other instances are another pool, which Envoy probes before the routes go over to
it, while the old one lives on for the requests in flight. Its name lives longer: a request that is still being sent was
given to it, and goes to the heir of the name when all of it has come. (Changing instances by endpoint discovery
takes one inotify instance a cluster when it comes from files; Linux gives a user 128, and Envoy aborts
at the next.) Statistics are kept by target, whatever pool serves it.

Called by `gateway`, which does the writing and the asking.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from sagespec.contract import LARGEST_BODY_BYTES
from sagespec.gateway import doors
from sagespec.gateway.checks import checks
from sagespec.gateway.lending import OWN_STATISTICS, lending_clusters, of_instances, of_pool
from sagespec.gateway.queueing import circuit_breakers
from sagespec.gateway.routes import (
    TYPES,
    endpoint_routes,
    header_entry,
    header_input,
    match_first,
    ping_route,
    refusal,
    retry_policy,
)
from sagespec.gateway.table import Instance, Table, digest_of, key_of, table_as_json

CDS, RDS = "gateway/cds.json", "gateway/rds.json"
INVOCATION_SECONDS = 60.0
PING_SECONDS = 2.0

CONNECT_SECONDS = 1.5  # long enough for a SYN that was lost and is sent again after a second

# Shorter than any common server keeps an idle connection (gunicorn: 2 s), so that no request meets one that is
# just being closed. A new connection takes a tenth of a millisecond.
IDLE_SECONDS = 1.5
DNS_SECONDS = 1  # between two looks at who has a name
PANIC_PERCENT = 1  # healthy ones are fewer: there are none. All get requests then; who is silent may only be busy
NAMESPACE = "sagespec"


class EnvoyFile(NamedTuple):
    """A file Envoy follows; `version` is a hash of what it says."""

    path: str
    version: str
    content: bytes


def contents(documents: Iterable[EnvoyFile]) -> dict[str, bytes]:
    """By path, as a runtime writes them."""
    return {document.path: document.content for document in documents}


def steps(
    old: Table, new: Table, *, listens_on: str = "", invocation_seconds: float = INVOCATION_SECONDS
) -> Iterator[EnvoyFile]:
    """What Envoy must load, one after the other, to get from `old` to `new` without a route to nowhere."""
    both = {**old.pools, **new.pools}
    was_lent = lending_clusters(old)
    yield pools_document(both, new.heirs(), was_lent | lending_clusters(new))
    yield routes_document(new, listens_on=listens_on, invocation_seconds=invocation_seconds)
    if both.keys() != new.pools.keys() or was_lent.keys() - lending_clusters(new).keys():
        yield pools_document(new.pools, new.heirs(), lending_clusters(new))


def pools_document(
    pools: Mapping[str, tuple[Instance, ...]],
    heirs: Mapping[str, str] | None = None,
    lent: Mapping[str, tuple[str, ...]] | None = None,
) -> EnvoyFile:
    """heirs: which pool gets the requests that still ask for one that is gone, both by name. lent: what a target's
    share goes to, by `lending`."""
    lent = lent or {}
    gone = {name: heir for name, heir in (heirs or {}).items() if name not in pools and name not in lent}
    return _document(
        CDS,
        [
            *(_cluster(name, pools[name]) for name in sorted(pools)),
            *(_aggregate(name, [gone[name]], str(key_of(name))) for name in sorted(gone)),
            *(_aggregate(name, lent[name], OWN_STATISTICS) for name in sorted(lent)),
        ],
    )


def routes_document(table: Table, *, listens_on: str = "", invocation_seconds: float = INVOCATION_SECONDS) -> EnvoyFile:
    """listens_on: the gateway's host."""
    timeout = f"{invocation_seconds:.3f}s"
    endpoints = {
        f"/endpoints/{name}/": match_first(
            _with_filters(endpoint_routes(table, table.routes[name], timeout), doors.of_endpoint(table.doors, name))
        )
        for name in sorted(table.routes)
    }
    by_path = {
        "input": header_input("request-headers", ":path"),
        "prefix_match_map": {"map": {"/ping": match_first([ping_route(), refusal("unknown")]), **endpoints}},
    }
    found = {"matcher_tree": by_path, "on_no_match": match_first([refusal("unknown")])}
    filters = doors.of_all(table.doors)
    routes = {
        "@type": f"{TYPES}.config.route.v3.RouteConfiguration",
        "name": "endpoints",
        "metadata": {"filter_metadata": {NAMESPACE: table_as_json(table)}},
        "response_headers_to_add": [header_entry("x-amzn-requestid", "%DYNAMIC_METADATA(sagespec:request-id)%")],
        "response_headers_to_remove": ["x-amzn-errortype"],  # the gateway's own mark
        "virtual_hosts": [
            {
                "name": "endpoints",
                "domains": ["*"],
                "retry_policy": retry_policy(),
                "request_body_buffer_limit": LARGEST_BODY_BYTES,  # kept until it is sent, to be sent again
                "matcher": {
                    "matcher_list": {"matchers": checks(listens_on, table.doors.hosts)},
                    "on_no_match": {"matcher": found},
                },
                **({"typed_per_filter_config": filters} if filters else {}),
            }
        ],
    }
    return _document(RDS, [routes])


def _with_filters(routes: Iterable[dict[str, Any]], filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The routes with these settings of filters besides their own."""
    key = "typed_per_filter_config"
    return [route | {key: route.get(key, {}) | filters} if filters else route for route in routes]


def _document(path: str, resources: Sequence[Mapping[str, Any]]) -> EnvoyFile:
    body = json.dumps(resources, separators=(",", ":"))
    version = digest_of(body.encode())
    return EnvoyFile(path, version, f'{{"version_info":"{version}","resources":{body}}}\n'.encode())


def _aggregate(name: str, pools: Sequence[str], statistics: str) -> dict[str, Any]:
    """Other clusters, of which the first that has a healthy instance counts: a name only, for requests that began to
    come before the routes changed and have all come now, or a target that lends its share."""
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "alt_stat_name": statistics,
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{TYPES}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": list(pools),
            },
        },
        "common_lb_config": _lb_config(),
        "circuit_breakers": circuit_breakers(),
    }


def _cluster(name: str, pool: Sequence[Instance]) -> dict[str, Any]:
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "alt_stat_name": str(key_of(name)),
        **_found_by(pool),
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_lb_endpoint(instance) | of_instances(name) for instance in pool]}],
            **of_pool(name),
        },
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "common_lb_config": _lb_config(),
        "circuit_breakers": circuit_breakers(name, len(pool)),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _found_by(pool: Iterable[Instance]) -> dict[str, Any]:
    """How Envoy finds the pool's instances: names are looked up again and again, as what is behind them moves."""
    if not any(_is_name(instance.host) for instance in pool):
        return {"type": "STATIC"}
    return {
        "cluster_type": {
            "name": "envoy.clusters.dns",
            "typed_config": {
                "@type": f"{TYPES}.extensions.clusters.dns.v3.DnsCluster",
                "dns_refresh_rate": f"{DNS_SECONDS}s",
                "dns_lookup_family": "V4_PREFERRED",
            },
        }
    }


def _is_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


def _lb_config() -> dict[str, Any]:
    return {"healthy_panic_threshold": {"value": PANIC_PERCENT}, "update_merge_window": "0s"}


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
