"""Where a request has the key it is split by, and how much of a split a changed weight moves."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagespec.gateway.keys import key_match
from sagespec.gateway.routes import TOTAL_WEIGHT, whole_weights
from sagespec.gateway.table import Table, table_as_json, table_from_json, with_route
from sagespec.spec.split import Key
from sagespec.state.observed import Route
from tests.gateway.tables import CANDIDATE, PLACES, STABLE, a_target

FOUND = [
    ("header x-user", "42", "42"),
    ("header x-user", "a,b; c", "a,b; c"),
    ("header x-user", "", None),
    ("attribute user", "user=42", "42"),
    ("attribute user", "trace=1;user=42,x=2", "42"),
    ("attribute user", " user = 4 2 ", "4 2"),
    ("attribute user", "user=1,user=2", "1"),
    ("attribute user", "user=,user=2", "2"),
    ("attribute user", "superuser=1, xuser=2", None),
    ("attribute user", "user=", None),
    ("attribute user", "user", None),
    ("attribute u.er", "user=42", None),
    ("cookie uid", "a=b; uid=x,y; c=d", "x,y"),
    ("cookie uid", "uid2=1; UID=2", None),
]


@pytest.mark.parametrize(("key", "header", "value"), FOUND)
def test_the_key_is_found_in_its_header(key: str, header: str, value: str | None) -> None:
    match = re.fullmatch(key_match(Key.parse(key))["string_match"]["safe_regex"]["regex"], header)
    assert (match[1] if match else None) == value


Weights = st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=10).filter(lambda w: sum(w) > 1e-3)


@given(Weights)
def test_the_sum_of_the_weights_never_changes(weights: list[float]) -> None:
    assert sum(whole_weights(weights)) == TOTAL_WEIGHT
    assert min(whole_weights(weights)) >= 0


@given(Weights, st.data())
def test_as_a_share_grows_within_a_variant_keys_move_only_to_the_new_instances(
    weights: list[float], data: st.DataObject
) -> None:
    """Each variant is [old, new]; the new one's share grows."""
    earlier, later = sorted(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    before, after = (
        whole_weights([part for weight in weights for part in (weight * (1 - share), weight * share)])
        for share in (earlier, later)
    )
    for index in range(len(weights)):
        at_old, at_new = 2 * index, 2 * index + 1
        assert abs(sum(before[:at_old]) - sum(after[:at_old])) <= 2  # the variant begins where it did
        assert sum(after[:at_new]) <= sum(before[:at_new]) + 2  # and its old instances end earlier


def test_the_table_keeps_key_and_order_and_stays_readable_for_the_release_before() -> None:
    targets = (a_target(STABLE, 90, "a"), a_target(CANDIDATE, 10, "b"))
    plain = with_route(Table(), "churn", Route("churn", targets), PLACES)
    keyed = with_route(Table(), "churn", Route("churn", targets, key="header x-user"), PLACES)
    assert table_from_json(table_as_json(keyed)) == keyed
    assert table_as_json(plain) == {name: v for name, v in table_as_json(keyed).items() if name != "keys"}
    assert [row[0] for row in table_as_json(keyed)["routes"]["churn"]] == ["stable", "candidate"]
