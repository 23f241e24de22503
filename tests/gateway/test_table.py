"""The gateway's table: its changes keep what counts, drains and is probed."""

from __future__ import annotations

import pytest

from sagespec.errors import WorldError
from sagespec.gateway.answers import table_from
from sagespec.gateway.documents import pools_document, routes_document
from sagespec.gateway.table import FORMER_POOLS, Instance, Table, forgetting, with_probed, with_route
from sagespec.state.observed import Route, Target
from tests.gateway.tables import (
    CANDIDATE,
    PLACES,
    STABLE,
    a_target,
    config_dump,
    names_in,
    routed,
)


def test_a_route_is_read_back_as_it_was_asked() -> None:
    table = routed(a_target(STABLE, 100 / 3, "ab", "c"), a_target(CANDIDATE, 1e-7, "d"))
    read = table_from(config_dump(routes_document(table)))
    assert read == table


def test_envoy_without_routes_has_an_empty_table() -> None:
    assert table_from(b"{}") == Table()


def test_a_table_of_another_format_is_not_misread() -> None:
    dump = config_dump(routes_document(routed(a_target(STABLE, 1, "a"))))
    with pytest.raises(WorldError, match="format 2"):
        table_from(dump.replace(b'"format": 1', b'"format": 2'))


def test_instances_that_were_probed_are_served_from_the_same_pool() -> None:
    probed = with_probed(Table(), "churn", a_target(STABLE, 0, "ab"), PLACES)
    assert routed(a_target(STABLE, 1, "ab"), table=probed).pools == probed.pools


def test_a_changed_weight_touches_only_the_routes() -> None:
    before = routed(a_target(STABLE, 90, "ab"), a_target(CANDIDATE, 10, "c"))
    after = routed(a_target(STABLE, 70, "ab"), a_target(CANDIDATE, 30, "c"), table=before)
    assert pools_document(after.pools) == pools_document(before.pools)


def test_a_draining_instance_keeps_the_pool_that_counts_its_requests() -> None:
    before = routed(a_target(STABLE, 1, "abc"))
    after = routed(a_target(STABLE, 1, "ab", "c"), table=before)
    assert sorted(names_in(after, pool) for pool in after.pools) == [["a", "b"], ["a", "b", "c"]]
    assert names_in(after, after.serving[STABLE]) == ["a", "b"]


def test_the_last_drained_instance_takes_the_old_pool_with_it() -> None:
    table = routed(a_target(STABLE, 1, "abcd"))
    table = routed(a_target(STABLE, 1, "ab", "cd"), table=table)
    table = forgetting(table, "churn", "c")
    assert len(table.pools) == 2
    table = forgetting(table, "churn", "d")
    assert table.pools == routed(a_target(STABLE, 1, "ab")).pools


def test_requests_for_a_pool_that_has_gone_go_to_its_variant_or_to_whoever_has_most() -> None:
    first = routed(a_target(STABLE, 9, "a"), a_target(CANDIDATE, 1, "c"))
    scaled = routed(a_target(STABLE, 9, "ab"), a_target(CANDIDATE, 1, "c"), table=first)
    assert scaled.heirs() == {first.serving[STABLE]: scaled.serving[STABLE]}
    newer = CANDIDATE._replace(hash="1-cc")
    replaced = routed(a_target(STABLE, 9, "ab"), a_target(newer, 1, "d"), table=scaled)
    assert replaced.heirs()[scaled.serving[CANDIDATE]] == replaced.serving[newer]
    alone = routed(a_target(STABLE, 1, "ab"), table=replaced)
    assert set(alone.heirs().values()) == {alone.serving[STABLE]}
    assert table_from(config_dump(routes_document(alone))) == alone
    assert with_route(alone, "churn", None, PLACES) == Table()


def test_former_pools_are_forgotten_in_time() -> None:
    table = routed(a_target(STABLE, 1, "a"))
    for number in range(FORMER_POOLS + 4):
        table = routed(a_target(STABLE, 1, "ab"), table=table, places=PLACES | {"b": ("10.0.1.1", number + 1)})
        table = routed(a_target(STABLE, 1, "abc"[: number % 3 + 1]), table=table)
    assert len(table.former) <= FORMER_POOLS


def test_probed_instances_outlive_a_change_of_the_route() -> None:
    table = with_probed(routed(a_target(STABLE, 1, "a")), "churn", a_target(CANDIDATE, 0, "c"), PLACES)
    table = routed(a_target(STABLE, 1, "ab"), table=table)
    assert table.probed == {CANDIDATE: (Instance("c", "10.0.0.3", 8080),)}


def test_a_probed_instance_that_ran_no_more_is_given_up() -> None:
    table = with_probed(routed(a_target(STABLE, 1, "a")), "churn", a_target(CANDIDATE, 0, "c"), PLACES)
    table = routed(a_target(STABLE, 1, "a"), table=table, places={"a": PLACES["a"]})
    assert table == routed(a_target(STABLE, 1, "a"))


def test_an_instance_started_again_gets_nothing_until_it_is_routed_again() -> None:
    table = with_probed(routed(a_target(STABLE, 1, "ab")), "churn", a_target(STABLE, 0, "b"), PLACES)
    assert names_in(table, table.serving[STABLE]) == ["a"]
    assert table.routes["churn"] == Route("churn", (a_target(STABLE, 1, "a"),))


def test_the_only_instance_stays_in_the_route_when_it_is_started_again() -> None:
    before = routed(a_target(STABLE, 1, "a"))
    assert with_probed(before, "churn", a_target(STABLE, 0, "a"), PLACES) == before


@pytest.mark.parametrize("names", ["a", "ab"])
def test_all_instances_of_a_target_that_come_back_elsewhere_are_served_and_probed_there(names: str) -> None:
    """One that was probed where it used to be would never be found healthy."""
    before = routed(a_target(STABLE, 1, names))
    moved = {name: ("10.0.1.1", port) for port, name in enumerate(names, start=9000)}
    after = with_probed(before, "churn", a_target(STABLE, 0, names), moved)
    assert after.routes == before.routes
    assert list(after.pools.values()) == [tuple(Instance(name, *moved[name]) for name in names)]
    assert list(after.serving.values()) == list(after.pools)
    assert not after.probed


def test_an_only_instance_that_does_not_run_yet_is_expected_where_it_was() -> None:
    before = routed(a_target(STABLE, 1, "a"))
    assert with_probed(before, "churn", a_target(STABLE, 0, "a"), {}) == before


def test_a_new_address_means_a_new_pool() -> None:
    before = routed(a_target(STABLE, 1, "a"))
    after = routed(a_target(STABLE, 1, "a"), table=before, places={"a": ("10.0.0.99", 8080)})
    assert list(after.pools.values()) == [(Instance("a", "10.0.0.99", 8080),)]


def test_an_instance_without_an_address_now_is_expected_where_it_was() -> None:
    before = routed(a_target(STABLE, 1, "ab"))
    assert routed(a_target(STABLE, 1, "ab"), table=before, places={"a": PLACES["a"]}) == before


def test_forgetting_the_last_instance_forgets_the_endpoint() -> None:
    table = with_probed(Table(), "churn", a_target(STABLE, 0, "a"), PLACES)
    assert forgetting(table, "churn", "a") == Table()


def test_no_route_keeps_other_endpoints() -> None:
    other = with_route(Table(), "churn-eu", Route("churn-eu", (Target("a", "1-cc", 1, ("e",)),)), PLACES)
    assert with_route(routed(a_target(STABLE, 1, "a"), table=other), "churn", None, PLACES) == other
