"""Numbers for Prometheus only grow: whatever the gateway forgets, and whoever is started again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.gateway.table import TargetKey
from sagespec.gateway.totals import Totals
from sagespec.traffic.grown import FORGET_SECONDS, Grown, Served

KEY = TargetKey("churn", "stable", "1-aa")
MODELS = {KEY: "churn@2"}
SERVED = Served("churn", "stable", "churn@2")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prometheus.json"


def totals(requests: int, **more: int) -> dict[TargetKey, Totals]:
    return {KEY: Totals(requests=requests, latencies={20.0: requests}, **more)}


def test_what_an_earlier_gateway_counted_stays(file: Path) -> None:
    grown = Grown(file, Clock())
    for requests in (100, 150, 7):  # the third was started again
        grown.add(totals(requests, active=3), MODELS)
    counted = grown.sums()[SERVED]
    assert (counted.requests, dict(counted.latencies), counted.active) == (157, {20.0: 157}, 3)


def test_the_next_loop_continues(file: Path) -> None:
    grown = Grown(file, clock := Clock())
    grown.add(totals(100), MODELS)
    clock.now += 60
    grown.add(totals(130), MODELS)  # written down
    grown.add(totals(140), MODELS)  # not yet
    again = Grown(file, clock)
    again.add(totals(150), MODELS)
    assert again.sums()[SERVED].requests == 150


def test_a_target_that_is_gone_for_a_moment_counts_once(file: Path) -> None:
    grown = Grown(file, Clock())
    for found in (totals(100), {}, totals(110)):
        grown.add(found, MODELS)
    assert grown.sums()[SERVED].requests == 110


def test_models_of_one_variant_are_kept_apart_and_one_model_behind_two_targets_is_one(file: Path) -> None:
    other, third = KEY._replace(hash="1-bb"), KEY._replace(hash="1-cc")
    grown = Grown(file, Clock())
    read = {key: Totals(requests=n, active=1) for key, n in ((KEY, 1), (other, 10), (third, 100))}
    grown.add(read, {KEY: "churn@2", other: "churn@3", third: "churn@3"})
    found = {served.model: (counted.requests, counted.active) for served, counted in grown.sums().items()}
    assert found == {"churn@2": (1, 1), "churn@3": (110, 2)}


def test_what_has_no_model_yet_counts_once_it_has(file: Path) -> None:
    grown = Grown(file, Clock())
    grown.add(totals(5), {})
    assert grown.sums() == {}
    grown.add(totals(9), MODELS)
    assert grown.sums()[SERVED].requests == 9


def test_a_model_that_nobody_has_asked_for_a_day_is_forgotten_when_the_gateway_has_it_no_longer(file: Path) -> None:
    grown = Grown(file, clock := Clock())
    grown.add(totals(5), MODELS)
    clock.now += FORGET_SECONDS
    grown.add(totals(5), MODELS)
    assert SERVED in grown.sums()
    grown.add({}, MODELS)
    assert grown.sums() == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format": 99}', b'{"format": 1, "seen": 3, "sums": []}'])
def test_a_file_that_cannot_be_read_was_never_written(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    grown = Grown(file, Clock())
    grown.add(totals(5), MODELS)
    assert grown.sums()[SERVED].requests == 5


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=30))
def test_nothing_ever_shrinks(readings: list[int | None]) -> None:
    grown, last = Grown(Path("/dev/null/prometheus.json"), Clock()), 0
    for requests in readings:
        grown.add({} if requests is None else totals(requests), MODELS)
        now = grown.sums()[SERVED].requests if SERVED in grown.sums() else 0
        assert now >= last
        last = now
