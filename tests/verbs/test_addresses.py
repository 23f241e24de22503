"""Short addresses are made whole."""

from __future__ import annotations

import pytest

from sagespec.errors import WorldError
from sagespec.state.addresses import Address
from sagespec.verbs.addresses import resolve_address, resolve_job

KNOWN = [
    Address.parse(text)
    for text in (
        "gateway",
        "endpoint/churn",
        "endpoint/churn/stable#0",
        "endpoint/churn/stable#1",
        "endpoint/idle",
        "job/churn@2",
        "job/churn@10",
        "job/idle@1",
        "job/tumor@3",
    )
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("job/churn@2", "job/churn@2"),
        ("churn@2", "job/churn@2"),
        ("churn@2#0", "job/churn@2#0"),
        ("churn", "endpoint/churn"),
        ("endpoint/churn", "endpoint/churn"),
        ("churn/stable", "endpoint/churn/stable"),
        ("churn/stable#1", "endpoint/churn/stable#1"),
        ("tumor", "job/tumor@3"),
        ("job/churn", "job/churn@10"),
        ("idle", "job/idle@1"),  # the endpoint has no containers yet, so it has said nothing
        ("endpoint/idle", "endpoint/idle"),
        ("gateway", "gateway"),
    ],
)
def test_short_addresses_are_made_whole(text: str, meant: str) -> None:
    assert str(resolve_address(text, KNOWN)) == meant


@pytest.mark.parametrize(("text", "near"), [("chrun", "churn"), ("churn@3", "churn@2"), ("job/tumr@3", "job/tumor@3")])
def test_an_unknown_address_gets_a_guess(text: str, near: str) -> None:
    with pytest.raises(WorldError, match="there is nothing named") as caught:
        resolve_address(text, KNOWN)
    assert near in caught.value.problems[0].fix


@pytest.mark.parametrize(("text", "job"), [("churn", "churn@10"), ("job/churn@2", "churn@2"), ("tumor", "tumor@3")])
def test_a_job_is_found_though_an_endpoint_has_its_name(text: str, job: str) -> None:
    assert str(resolve_job(text, KNOWN)) == f"job/{job}"


@pytest.mark.parametrize("text", ["endpoint/churn", "endpoint/nosuch", "own", "own/stable", "endpoint/own/stable"])
def test_an_endpoint_is_not_stopped(text: str) -> None:
    with pytest.raises(WorldError, match="an endpoint is not stopped") as caught:
        resolve_job(text, [*KNOWN, Address.parse("endpoint/own"), Address.parse("endpoint/own/stable")])
    assert "sagespec apply --prune" in caught.value.problems[0].fix
