"""Routes to Envoy's documents and back: what is said is what was meant, the same every time, in a safe order."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.errors import WorldError
from sagespec.gateway.answers import Counters, counters_from, probes_from, table_from
from sagespec.gateway.documents import CDS, EnvoyFile, pools_document, routes_document, steps
from sagespec.gateway.routes import longer_than, whole_weights
from sagespec.gateway.table import Instance, Places, Table, TargetKey, forgetting, with_probed, with_route
from sagespec.state.observed import Probe, Route, Target

ADDRESSES = {name: (f"10.0.0.{index}", 8080) for index, name in enumerate("abcdef", start=1)}
STABLE, CANDIDATE = TargetKey("churn", "stable", "1-aa"), TargetKey("churn", "candidate", "1-bb")


def a_target(key: TargetKey, weight: float, instances: Sequence[str] = "", draining: Sequence[str] = "") -> Target:
    return Target(key.variant, key.hash, weight, tuple(instances), tuple(draining))


def routed(*targets: Target, table: Table | None = None, addresses: Places = ADDRESSES) -> Table:
    return with_route(table or Table(), "churn", Route("churn", tuple(sorted(targets))), addresses)


def names_in(table: Table, pool: str) -> list[str]:
    return [instance.name for instance in table.pools[pool]]


def config_dump(document: EnvoyFile) -> bytes:
    """What Envoy answers to TABLE_PATH once it has taken up `document`."""
    (routes,) = json.loads(document.content)["resources"]
    return json.dumps({"configs": [{"route_config": {"metadata": routes["metadata"]}}]}).encode()


def routes_to(document: EnvoyFile, target_variant: str | None = None) -> dict[str, dict[str, int]]:
    """Weights by pool, by endpoint, of requests with this Target-Variant. Follows the document as Envoy does."""
    (routes,) = json.loads(document.content)["resources"]
    tree = routes["virtual_hosts"][0]["matcher"]["on_no_match"]["matcher"]["matcher_tree"]
    found = {}
    for prefix, match in tree["prefix_match_map"]["map"].items():
        if prefix == "/ping":
            continue
        for route in match["action"]["typed_config"]["routes"]:
            if all(_matches(header, target_variant) for header in route["match"].get("headers", ())):
                break
        clusters = route.get("route", {}).get("weighted_clusters", {}).get("clusters", ())
        found[prefix.split("/")[2]] = {cluster["name"]: cluster["weight"] for cluster in clusters}
    return found


def _matches(header: Mapping[str, Any], target_variant: str | None) -> bool:
    if header["name"] == ":method":
        return True
    return target_variant is None if "present_match" in header else header["string_match"]["exact"] == target_variant


def variants_of(weights: Mapping[str, int]) -> set[str]:
    return {pool.split("/")[1] for pool in weights}


class TestTable:
    def test_a_route_is_read_back_as_it_was_asked(self) -> None:
        table = routed(a_target(STABLE, 100 / 3, "ab", "c"), a_target(CANDIDATE, 1e-7, "d"))
        read = table_from(config_dump(routes_document(table)))
        assert read == table

    def test_envoy_without_routes_has_an_empty_table(self) -> None:
        assert table_from(b"{}") == Table()

    def test_a_table_of_another_format_is_not_misread(self) -> None:
        dump = config_dump(routes_document(routed(a_target(STABLE, 1, "a"))))
        with pytest.raises(WorldError, match="format 2"):
            table_from(dump.replace(b'"format": 1', b'"format": 2'))

    def test_instances_that_were_probed_are_served_from_the_same_pool(self) -> None:
        probed = with_probed(Table(), "churn", a_target(STABLE, 0, "ab"), ADDRESSES)
        assert routed(a_target(STABLE, 1, "ab"), table=probed).pools == probed.pools

    def test_a_changed_weight_touches_only_the_routes(self) -> None:
        before = routed(a_target(STABLE, 90, "ab"), a_target(CANDIDATE, 10, "c"))
        after = routed(a_target(STABLE, 70, "ab"), a_target(CANDIDATE, 30, "c"), table=before)
        assert pools_document(after.pools) == pools_document(before.pools)

    def test_a_draining_instance_keeps_the_pool_that_counts_its_requests(self) -> None:
        before = routed(a_target(STABLE, 1, "abc"))
        after = routed(a_target(STABLE, 1, "ab", "c"), table=before)
        assert sorted(names_in(after, pool) for pool in after.pools) == [["a", "b"], ["a", "b", "c"]]
        assert names_in(after, after.serving[STABLE]) == ["a", "b"]

    def test_the_last_drained_instance_takes_the_old_pool_with_it(self) -> None:
        table = routed(a_target(STABLE, 1, "abcd"))
        table = routed(a_target(STABLE, 1, "ab", "cd"), table=table)
        table = forgetting(table, "churn", "c")
        assert len(table.pools) == 2
        table = forgetting(table, "churn", "d")
        assert table == routed(a_target(STABLE, 1, "ab"))

    def test_probed_instances_outlive_a_change_of_the_route(self) -> None:
        table = with_probed(routed(a_target(STABLE, 1, "a")), "churn", a_target(CANDIDATE, 0, "c"), ADDRESSES)
        table = routed(a_target(STABLE, 1, "ab"), table=table)
        assert table.probed == {CANDIDATE: (Instance("c", "10.0.0.3", 8080),)}

    def test_a_probed_instance_that_ran_no_more_is_given_up(self) -> None:
        table = with_probed(routed(a_target(STABLE, 1, "a")), "churn", a_target(CANDIDATE, 0, "c"), ADDRESSES)
        table = routed(a_target(STABLE, 1, "a"), table=table, addresses={"a": ADDRESSES["a"]})
        assert table == routed(a_target(STABLE, 1, "a"))

    def test_an_instance_started_again_gets_nothing_until_it_is_routed_again(self) -> None:
        table = with_probed(routed(a_target(STABLE, 1, "ab")), "churn", a_target(STABLE, 0, "b"), ADDRESSES)
        assert names_in(table, table.serving[STABLE]) == ["a"]
        assert table.routes["churn"] == Route("churn", (a_target(STABLE, 1, "a"),))

    def test_the_only_instance_stays_in_the_route_when_it_is_started_again(self) -> None:
        before = routed(a_target(STABLE, 1, "a"))
        assert with_probed(before, "churn", a_target(STABLE, 0, "a"), ADDRESSES) == before

    def test_a_new_address_means_a_new_pool(self) -> None:
        before = routed(a_target(STABLE, 1, "a"))
        after = routed(a_target(STABLE, 1, "a"), table=before, addresses={"a": ("10.0.0.99", 8080)})
        assert list(after.pools.values()) == [(Instance("a", "10.0.0.99", 8080),)]

    def test_an_instance_without_an_address_now_is_expected_where_it_was(self) -> None:
        before = routed(a_target(STABLE, 1, "ab"))
        assert routed(a_target(STABLE, 1, "ab"), table=before, addresses={"a": ADDRESSES["a"]}) == before

    def test_forgetting_the_last_instance_forgets_the_endpoint(self) -> None:
        table = with_probed(Table(), "churn", a_target(STABLE, 0, "a"), ADDRESSES)
        assert forgetting(table, "churn", "a") == Table()

    def test_no_route_keeps_other_endpoints(self) -> None:
        other = with_route(Table(), "churn-eu", Route("churn-eu", (Target("a", "1-cc", 1, ("e",)),)), ADDRESSES)
        assert with_route(routed(a_target(STABLE, 1, "a"), table=other), "churn", None, ADDRESSES) == other


class TestRoutes:
    def test_target_variant_reaches_weight_0(self) -> None:
        document = routes_document(routed(a_target(STABLE, 1, "a"), a_target(CANDIDATE, 0, "c")))
        assert variants_of(routes_to(document)["churn"]) == {"stable"}
        assert variants_of(routes_to(document, "candidate")["churn"]) == {"candidate"}

    def test_target_variant_follows_the_weights_within_a_variant(self) -> None:
        new = TargetKey("churn", "stable", "1-zz")
        table = routed(a_target(STABLE, 30, "a"), a_target(new, 10, "b"), a_target(CANDIDATE, 60, "c"))
        weights = routes_to(routes_document(table), "stable")["churn"]
        assert {pool.split("/")[2]: weight for pool, weight in weights.items()} == {"1-aa": 3 * 2**29, "1-zz": 2**29}

    def test_target_variant_takes_the_last_target_when_all_have_weight_0(self) -> None:
        new = TargetKey("churn", "stable", "1-zz")
        table = routed(a_target(STABLE, 0, "a"), a_target(new, 0, "b"), a_target(CANDIDATE, 1, "c"))
        assert list(routes_to(routes_document(table), "stable")["churn"]) == [table.serving[new]]

    def test_draining_targets_get_nothing(self) -> None:
        table = routed(
            a_target(STABLE, 1, "", "a"), a_target(CANDIDATE, 1, "c"), table=routed(a_target(STABLE, 1, "a"))
        )
        document = routes_document(table)
        assert variants_of(routes_to(document)["churn"]) == {"candidate"}
        assert routes_to(document, "stable")["churn"] == {}

    def test_an_endpoint_whose_first_instances_are_probed_is_known_and_unavailable(self) -> None:
        table = with_probed(Table(), "churn", a_target(STABLE, 0, "a"), ADDRESSES)
        assert routes_to(routes_document(table)) == {"churn": {}}

    @given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=20).filter(lambda w: sum(w) > 1e-3))
    def test_whole_weights_keep_the_shares(self, weights: list[float]) -> None:
        whole = whole_weights(weights)
        assert sum(whole) < 2**32
        for share, weight in zip(whole, weights, strict=True):
            assert abs(share / sum(whole) - weight / sum(weights)) < 1e-6

    def test_longer_than_measures_texts(self) -> None:
        assert [bool(re.fullmatch(longer_than(7), "x" * length)) for length in (6, 7, 8)] == [False, False, True]


class TestDocuments:
    def test_the_version_is_that_of_the_content(self) -> None:
        one, same = (routes_document(routed(a_target(STABLE, 1, "ab"))) for _ in range(2))
        other = routes_document(routed(a_target(STABLE, 2, "ab")))
        assert one == same
        assert one.version != other.version
        assert json.loads(one.content)["version_info"] == one.version

    def test_the_order_things_came_in_leaves_no_trace(self) -> None:
        one = routed(a_target(STABLE, 1, "ab"), a_target(CANDIDATE, 1, "c"))
        other = routed(a_target(CANDIDATE, 1, "c"), a_target(STABLE, 1, ("b", "a")))
        assert pools_document(one.pools) == pools_document(other.pools)

    def test_1000_endpoints_are_written_and_read_within_two_seconds_each(self) -> None:
        table = thousand_endpoints()
        begun = time.process_time()
        pools, routes = pools_document(table.pools), routes_document(table)
        written = time.process_time()
        assert table_from(config_dump(routes)) == table
        read = time.process_time()
        with_route(table, "endpoint-500", None, {})
        changed = time.process_time()
        assert len(pools.content) < 10_000_000
        assert written - begun < 2
        assert read - written < 2
        assert changed - read < 0.5


def thousand_endpoints() -> Table:
    """Two variants of two instances each."""
    routes: dict[str, Route] = {}
    pools: dict[str, tuple[Instance, ...]] = {}
    serving: dict[TargetKey, str] = {}
    for number in range(1000):
        name = f"endpoint-{number}"
        addresses = {f"{name}-{i}": (f"10.{i}.{number // 250}.{number % 250}", 8080) for i in range(4)}
        names = tuple(addresses)
        targets = (Target("a", "1-aa", 90.0, names[:2]), Target("b", "1-bb", 10.0, names[2:]))
        part = with_route(Table(), name, Route(name, targets), addresses)
        routes.update(part.routes)
        pools.update(part.pools)
        serving.update(part.serving)
    return Table(routes=routes, pools=pools, serving=serving)


# -- what must hold whatever is done ---------------------------------------------------------------

# A container belongs to one target, for its name is made from the target's.
CONTAINERS = {STABLE: "abc", TargetKey("churn", "stable", "1-zz"): "de", CANDIDATE: "f"}


@st.composite
def some_targets(draw: st.DrawFn) -> list[Target]:
    found = []
    for key, names in CONTAINERS.items():
        places = {name: draw(st.sampled_from(["ready", "draining", "out"])) for name in names}
        ready, draining = ([name for name in names if places[name] == place] for place in ("ready", "draining"))
        found.append(a_target(key, draw(st.sampled_from([0.0, 1.0, 30.5])), ready, draining))
    return draw(st.lists(st.sampled_from(found), unique=True))


Change = Callable[[Table], Table]


def route_change(targets: list[Target]) -> Change:
    return lambda table: with_route(table, "churn", Route("churn", tuple(targets)) if targets else None, ADDRESSES)


def probe_change(target: Target) -> Change:
    return lambda table: with_probed(table, "churn", target, ADDRESSES)


def forget_change(name: str) -> Change:
    return lambda table: forgetting(table, "churn", name)


CHANGES = st.one_of(
    some_targets().map(route_change),
    some_targets().filter(bool).map(lambda targets: probe_change(targets[0])),
    st.sampled_from("abcdef").map(forget_change),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(CHANGES, max_size=8))
def test_whatever_is_done_no_route_leads_nowhere_and_nobody_is_lost(changes: list[Change]) -> None:
    table = Table()
    for change in changes:
        old, table = table, change(table)
        assert table_from(config_dump(routes_document(table))) == table
        pools, routed_to = set(old.pools), set(old.serving.values())
        for document in steps(old, table):
            if document.path == CDS:
                pools = {cluster["name"] for cluster in json.loads(document.content)["resources"]}
            else:
                routed_to = {pool for weights in routes_to(document).values() for pool in weights}
            assert routed_to <= pools

        served = {instance for pool in table.serving.values() for instance in table.pools[pool]}
        for route in table.routes.values():
            for target in route.targets:
                serving = table.serving.get(TargetKey(route.endpoint_name, target.variant, target.hash))
                assert (names_in(table, serving) if serving else []) == sorted(target.instances)
        for key, group in table.probed.items():
            assert served.isdisjoint(group)
            there = {i for name, pool in table.pools.items() if name.startswith(f"{key}/") for i in pool}
            assert there.issuperset(group)
        for name, pool in old.pools.items():
            draining = {
                n
                for r in table.routes.values()
                for t in r.targets
                for n in t.draining
                if name.startswith(f"churn/{t.variant}/{t.hash}/")
            }
            if draining.intersection(instance.name for instance in pool):
                assert name in table.pools


# -- what Envoy says -------------------------------------------------------------------------------


def a_cluster(name: str, *hosts: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "host_statuses": list(hosts)}


def a_host(name: str, *, active: int = 0, healthy: bool = True) -> dict[str, Any]:
    address, port = ADDRESSES[name]
    return {
        "hostname": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "stats": [{"name": "rq_active", "value": str(active), "type": "GAUGE"}],
        "health_status": {"eds_health_status": "HEALTHY"} | ({} if healthy else {"failed_active_health_check": True}),
    }


def clusters(*found: dict[str, Any]) -> bytes:
    return json.dumps({"cluster_statuses": list(found)}).encode()


class TestProbes:
    def test_requests_in_flight_are_counted_over_all_pools(self) -> None:
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

    def test_health_is_what_the_pool_that_serves_says(self) -> None:
        table = routed(a_target(STABLE, 1, "a", "b"), table=routed(a_target(STABLE, 1, "ab")))
        new = table.serving[STABLE]
        (old,) = table.pools.keys() - {new}
        for order in (1, -1):
            answer = clusters(*[a_cluster(old, a_host("a")), a_cluster(new, a_host("a", healthy=False))][::order])
            assert probes_from(answer, table)["a"].healthy is False

    def test_left_overs_in_a_pool_are_not_shown(self) -> None:
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
