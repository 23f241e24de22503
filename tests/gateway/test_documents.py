"""The files that Envoy follows: the same every time, and changed in a safe order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.gateway.answers import table_from
from sagespec.gateway.documents import CDS, EnvoyFile, pools_document, routes_document, steps
from sagespec.gateway.lending import lending_clusters
from sagespec.gateway.table import Instance, Table, TargetKey, forgetting, with_probed, with_route
from sagespec.state.observed import Route, Target
from tests.gateway.tables import (
    CANDIDATE,
    PLACES,
    STABLE,
    a_target,
    config_dump,
    names_in,
    routed,
    routes_to,
)


def test_the_version_is_that_of_the_content() -> None:
    one, same = (routes_document(routed(a_target(STABLE, 1, "ab"))) for _ in range(2))
    other = routes_document(routed(a_target(STABLE, 2, "ab")))
    assert one == same
    assert one.version != other.version
    assert json.loads(one.content)["version_info"] == one.version


def test_the_order_things_came_in_leaves_no_trace() -> None:
    one = routed(a_target(STABLE, 1, "ab"), a_target(CANDIDATE, 1, "c"))
    other = routed(a_target(CANDIDATE, 1, "c"), a_target(STABLE, 1, ("b", "a")))
    assert pools_document(one.pools) == pools_document(other.pools)


def test_1000_endpoints_are_written_and_read_within_two_seconds_each() -> None:
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
    assert changed - read < 1.5


def thousand_endpoints() -> Table:
    """Two variants of two instances each."""
    routes: dict[str, Route] = {}
    pools: dict[str, tuple[Instance, ...]] = {}
    serving: dict[TargetKey, str] = {}
    for number in range(1000):
        name = f"endpoint-{number}"
        places_of_it = {f"{name}-{i}": (f"10.{i}.{number // 250}.{number % 250}", 8080) for i in range(4)}
        names = tuple(places_of_it)
        targets = (Target("a", "1-aa", 90.0, names[:2]), Target("b", "1-bb", 10.0, names[2:]))
        part = with_route(Table(), name, Route(name, targets), places_of_it)
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


def route_change(targets: list[Target], lends: bool) -> Change:
    route = Route("churn", tuple(targets), lends=lends) if targets else None
    return lambda table: with_route(table, "churn", route, PLACES)


def probe_change(target: Target) -> Change:
    return lambda table: with_probed(table, "churn", target, PLACES)


def forget_change(name: str) -> Change:
    return lambda table: forgetting(table, "churn", name)


CHANGES = st.one_of(
    st.builds(route_change, some_targets(), st.booleans()),
    some_targets().filter(bool).map(lambda targets: probe_change(targets[0])),
    st.sampled_from("abcdef").map(forget_change),
)


def members_of(document: EnvoyFile) -> set[str]:
    """The pools that aggregate clusters name."""
    clusters = (cluster.get("cluster_type", {}) for cluster in json.loads(document.content)["resources"])
    return {name for cluster in clusters for name in cluster.get("typed_config", {}).get("clusters", ())}


@settings(deadline=None, max_examples=200)
@given(st.lists(CHANGES, max_size=8))
def test_whatever_is_done_no_route_leads_nowhere_and_nobody_is_lost(changes: list[Change]) -> None:
    table = Table()
    for change in changes:
        old, table = table, change(table)
        assert table_from(config_dump(routes_document(table))) == table
        old_names = {*old.serving.values(), *lending_clusters(old)}
        pools, routed_to = {*old.pools, *lending_clusters(old)}, old_names
        for document in steps(old, table):
            if document.path == CDS:
                pools = {cluster["name"] for cluster in json.loads(document.content)["resources"]}
                assert members_of(document) <= pools
            else:
                routed_to = {pool for weights in routes_to(document).values() for pool in weights}
            assert routed_to <= pools
        left = {name for name in old_names if name not in pools}
        assert (
            not left or "churn" not in table.routes or not table.serving
        )  # a request may be on its way to any of them

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
