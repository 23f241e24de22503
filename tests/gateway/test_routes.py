"""Which pool a request goes to, by its Target-Variant and the weights."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sagespec.gateway.checks import longer_than
from sagespec.gateway.documents import routes_document
from sagespec.gateway.routes import whole_weights
from sagespec.gateway.table import Table, TargetKey, with_probed
from tests.gateway.tables import (
    CANDIDATE,
    PLACES,
    STABLE,
    a_target,
    routed,
    routes_to,
    variants_of,
)


def test_target_variant_reaches_weight_0() -> None:
    document = routes_document(routed(a_target(STABLE, 1, "a"), a_target(CANDIDATE, 0, "c")))
    assert variants_of(routes_to(document)["churn"]) == {"stable"}
    assert variants_of(routes_to(document, "candidate")["churn"]) == {"candidate"}


def test_target_variant_follows_the_weights_within_a_variant() -> None:
    new = TargetKey("churn", "stable", "1-zz")
    table = routed(a_target(STABLE, 30, "a"), a_target(new, 10, "b"), a_target(CANDIDATE, 60, "c"))
    weights = routes_to(routes_document(table), "stable")["churn"]
    assert {pool.split("/")[2]: weight for pool, weight in weights.items()} == {"1-aa": 3 * 2**29, "1-zz": 2**29}


def test_target_variant_takes_the_last_target_when_all_have_weight_0() -> None:
    new = TargetKey("churn", "stable", "1-zz")
    table = routed(a_target(STABLE, 0, "a"), a_target(new, 0, "b"), a_target(CANDIDATE, 1, "c"))
    assert list(routes_to(routes_document(table), "stable")["churn"]) == [table.serving[new]]


def test_draining_targets_get_nothing() -> None:
    table = routed(a_target(STABLE, 1, "", "a"), a_target(CANDIDATE, 1, "c"), table=routed(a_target(STABLE, 1, "a")))
    document = routes_document(table)
    assert variants_of(routes_to(document)["churn"]) == {"candidate"}
    assert routes_to(document, "stable")["churn"] == {}


def test_an_endpoint_whose_first_instances_are_probed_is_known_and_unavailable() -> None:
    table = with_probed(Table(), "churn", a_target(STABLE, 0, "a"), PLACES)
    assert routes_to(routes_document(table)) == {"churn": {}}


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=20).filter(lambda w: sum(w) > 1e-3))
def test_whole_weights_keep_the_shares(weights: list[float]) -> None:
    whole = whole_weights(weights)
    assert sum(whole) < 2**32
    for share, weight in zip(whole, weights, strict=True):
        assert abs(share / sum(whole) - weight / sum(weights)) < 1e-6


def test_longer_than_measures_texts() -> None:
    assert [bool(re.fullmatch(longer_than(7), "x" * length)) for length in (6, 7, 8)] == [False, False, True]
