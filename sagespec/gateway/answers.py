"""What Envoy's admin port says, as values. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sagespec.gateway.certificates import Certificate
from sagespec.gateway.documents import CDS, NAMESPACE, RDS
from sagespec.gateway.table import Instance, Table, TargetKey, key_of, table_from_json
from sagespec.state.observed import Probe

# What to ask Envoy's admin port for; the functions at the end read the answers.
TABLE_PATH = "/config_dump?resource=dynamic_route_configs&mask=route_config.metadata"
POOLS_PATH = "/clusters?format=json"
VERSIONS_PATH = "/stats?format=json&type=All&filter=(version_text|update_rejected)$"
SECRETS_PATH = "/config_dump?resource=dynamic_active_secrets&mask=version_info"
LISTENERS_PATH = "/config_dump?resource=static_listeners&mask=last_updated"
COUNTERS_PATH = "/stats?format=json&filter=(upstream_rq_|xx$|lua.*(sent|took)$)"


@dataclass(frozen=True)
class Counters:
    """Of one target, since the gateway started. Errors are what the model answered, and requests it did not
    answer. p50 and p99 are milliseconds from the gateway to the model and back, since the target's instances last
    changed; None without requests."""

    requests: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    active: int = 0
    waiting: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None

    @property
    def errors(self) -> int:
        return self.errors_4xx + self.errors_5xx


def table_from(answer: bytes) -> Table:
    """The live table, from the answer to TABLE_PATH; an empty one when Envoy has no routes yet."""
    for entry in json.loads(answer).get("configs", ()):
        metadata = entry.get("route_config", {}).get("metadata", {}).get("filter_metadata", {})
        if NAMESPACE in metadata:
            return table_from_json(metadata[NAMESPACE])
    return Table()


def table_in(document: bytes) -> Table:
    """The table that a gateway was given, from the file with its routes."""
    for resource in json.loads(document).get("resources", ()):
        metadata = resource.get("metadata", {}).get("filter_metadata", {})
        if NAMESPACE in metadata:
            return table_from_json(metadata[NAMESPACE])
    return Table()


def versions_from(answer: bytes) -> tuple[dict[str, str], int]:
    """Versions of CDS and RDS that Envoy has loaded, and how many updates it rejected, from VERSIONS_PATH."""
    values = {stat["name"]: stat["value"] for stat in json.loads(answer)["stats"] if "name" in stat}
    versions = {
        CDS: str(values.get("cluster_manager.cds.version_text", "")),
        RDS: str(values.get("http.gateway.rds.endpoints.version_text", "")),
    }
    return versions, sum(int(value) for name, value in values.items() if name.endswith("update_rejected"))


def listens_from(answer: bytes) -> bool:
    """Whether Envoy has its listener, from the answer to LISTENERS_PATH."""
    return bool(json.loads(answer).get("configs"))


def shows(certificate: Certificate, answer: bytes) -> bool:
    """Whether Envoy has this certificate, from the answer to SECRETS_PATH."""
    versions = {secret.get("version_info") for secret in json.loads(answer).get("configs", ())}
    return certificate.facts.digest in versions


def pools_from(answer: bytes) -> frozenset[str]:
    """Names of the pools that may be routed to, from the answer to POOLS_PATH. Former ones have no hosts."""
    clusters = json.loads(answer).get("cluster_statuses", ())
    return frozenset(cluster["name"] for cluster in clusters if cluster.get("host_statuses"))


def probes_from(answer: bytes, table: Table) -> dict[str, Probe]:
    """What Envoy knows of the table's containers, by name, from the answer to POOLS_PATH.

    One may be in several pools: requests in flight are counted in all, health where it counts.
    """
    wanted, serving = table.names(), frozenset(table.serving.values())
    found: dict[str, tuple[bool, Probe]] = {}
    for cluster in json.loads(answer).get("cluster_statuses", ()):
        pool = cluster["name"]
        for name, seen in _by_name(cluster.get("host_statuses", ()), table.pools.get(pool, ())).items():
            if name not in wanted:
                continue
            place = Instance(name, seen.host, seen.port)
            counts = pool in serving or place in table.probed.get(key_of(pool), ())
            before = found.get(name)
            if before is not None:
                active = before[1].active_requests + seen.active_requests
                seen = replace(seen if counts or not before[0] else before[1], active_requests=active)
                counts = counts or before[0]
            found[name] = (counts, seen)
    return {name: probe for name, (_, probe) in found.items()}


def _by_name(hosts: Iterable[Mapping[str, Any]], pool: Iterable[Instance]) -> dict[str, Probe]:
    """What one pool knows of its containers, each at the place that the table has for it: where that is a name, Envoy
    tells the addresses behind it. They may be several for a while, of which one that is healthy is enough, or none."""
    found = {instance.name: Probe(healthy=False, host=instance.host, port=instance.port) for instance in pool}
    for host in hosts:
        name, seen = host.get("hostname", ""), _probe(host)
        if before := found.get(name):
            active = before.active_requests + seen.active_requests
            seen = replace(before, healthy=before.healthy or seen.healthy, active_requests=active)
        found[name] = seen
    return found


def _probe(host: Mapping[str, Any]) -> Probe:
    """Ejected for a refused connection is not unhealthy: the next good /ping ends it."""
    health, address = host.get("health_status", {}), host["address"]["socket_address"]
    active = next((int(stat.get("value", 0)) for stat in host.get("stats", ()) if stat["name"] == "rq_active"), 0)
    healthy = not (health.get("failed_active_health_check") or health.get("pending_active_hc"))
    return Probe(healthy, active, address["address"], int(address["port_value"]))


def counters_from(answer: bytes) -> dict[tuple[str, str, str], Counters]:
    """Counters by `TargetKey`, from the answer to COUNTERS_PATH.

    Envoy counts requests by pool, under the target's name; model_errors.lua counts errors, and the requests whose
    target might have lent them.
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
            requests=values.get("upstream_rq_completed", 0) + values.get("sent", 0),
            errors_4xx=values.get("4xx", 0),
            errors_5xx=values.get("5xx", 0),
            active=values.get("upstream_rq_active", 0),
            waiting=values.get("upstream_rq_pending_active", 0),
            p50_ms=quantiles.get(target, (None, None))[0],
            p99_ms=quantiles.get(target, (None, None))[1],
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
        target = _without_scope(histogram["name"]).removesuffix(".upstream_rq_time").removesuffix(".took")
        values = [histogram["values"][index]["cumulative"] for index in at]
        if values[0] is not None or target not in result:
            result[target] = (values[0], values[1])
    return result
