"""What Envoy says of containers and requests, read back."""

from __future__ import annotations

import json
from typing import Any

from sagespec.gateway.answers import Counters, counters_from, probes_from
from sagespec.gateway.table import forgetting
from sagespec.state.observed import Probe
from tests.gateway.tables import (
    PLACES,
    STABLE,
    a_target,
    routed,
)


def a_cluster(name: str, *hosts: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "host_statuses": list(hosts)}


def a_host(name: str, *, active: int = 0, healthy: bool = True) -> dict[str, Any]:
    address, port = PLACES[name]
    return {
        "hostname": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "stats": [{"name": "rq_active", "value": str(active), "type": "GAUGE"}],
        "health_status": {"eds_health_status": "HEALTHY"} | ({} if healthy else {"failed_active_health_check": True}),
    }


def clusters(*found: dict[str, Any]) -> bytes:
    return json.dumps({"cluster_statuses": list(found)}).encode()


def test_requests_in_flight_are_counted_over_all_pools() -> None:
    table = routed(a_target(STABLE, 1, "a", "b"), table=routed(a_target(STABLE, 1, "ab")))
    new = table.serving[STABLE]
    (old,) = table.pools.keys() - {new}
    answer = clusters(
        a_cluster(old, a_host("a", active=2), a_host("b", active=3)), a_cluster(new, a_host("a", active=1))
    )
    assert probes_from(answer, table) == {
        "a": Probe(healthy=True, active_requests=3, host="10.0.0.1", port=8080),
        "b": Probe(healthy=True, active_requests=3, host="10.0.0.2", port=8080),
    }


def test_health_is_what_the_pool_that_serves_says() -> None:
    table = routed(a_target(STABLE, 1, "a", "b"), table=routed(a_target(STABLE, 1, "ab")))
    new = table.serving[STABLE]
    (old,) = table.pools.keys() - {new}
    for order in (1, -1):
        answer = clusters(*[a_cluster(old, a_host("a")), a_cluster(new, a_host("a", healthy=False))][::order])
        assert probes_from(answer, table)["a"].healthy is False


def test_left_overs_in_a_pool_are_not_shown() -> None:
    table = forgetting(routed(a_target(STABLE, 1, "", "ab"), table=routed(a_target(STABLE, 1, "ab"))), "churn", "a")
    (pool,) = table.pools
    assert probes_from(clusters(a_cluster(pool, a_host("a"), a_host("b"))), table).keys() == {"b"}


def test_counters_are_read_by_target() -> None:
    numbers = {
        f"cluster.{STABLE}.upstream_rq_completed": 100,
        f"cluster.{STABLE}.upstream_rq_active": 2,
        f"http.gateway.lua.{STABLE}.4xx": 3,
        f"http.gateway.lua.{STABLE}.5xx": 1,
    }
    stats: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in numbers.items()]
    quantiles = [
        {
            "name": f"cluster.{STABLE}.upstream_rq_time",
            "values": [{"interval": None, "cumulative": 4.5}, {"interval": None, "cumulative": 21.0}],
        }
    ]
    stats.append({"histograms": {"supported_quantiles": [50, 99], "computed_quantiles": quantiles}})
    found = counters_from(json.dumps({"stats": stats}).encode())
    assert found == {STABLE: Counters(requests=100, errors_4xx=3, errors_5xx=1, active=2, p50_ms=4.5, p99_ms=21.0)}
    assert found[STABLE].errors == 4
