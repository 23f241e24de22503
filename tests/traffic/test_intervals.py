"""What happened between two readings, and what a history makes of many."""

from __future__ import annotations

import random
import statistics

import pytest

from sagespec.gateway.table import TargetKey
from sagespec.gateway.totals import Totals, totals_from
from sagespec.traffic.history import COARSE, History
from sagespec.traffic.intervals import Interval, intervals
from sagespec.traffic.latencies import added, packed, quantile, since, unpacked

STABLE, AGAIN = TargetKey("churn", "stable", "1-aa"), TargetKey("churn", "stable", "1-bb")
CHURN = ("churn", "stable")


def bucket(milliseconds: int) -> float:
    """The lower bound of the bucket that Envoy puts a latency into: its first two digits."""
    text = str(milliseconds)
    return float(int(text[:2]) * 10.0 ** max(0, len(text) - 2))


def histogram(latencies: list[int]) -> dict[float, int]:
    found: dict[float, int] = {}
    for one in latencies:
        found[bucket(one)] = found.get(bucket(one), 0) + 1
    return found


# -- latencies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_quantile_is_within_a_bucket_of_the_exact_one(share: float) -> None:
    dice = random.Random(7)
    latencies = [round(dice.lognormvariate(4, 1)) + 10 for _ in range(5000)]
    exact = statistics.quantiles(latencies, n=100)[round(share * 100) - 1]
    assert quantile(histogram(latencies), share) == pytest.approx(exact, rel=0.1)


def test_a_packed_histogram_is_the_same_again() -> None:
    bounds = [0.0, 0.1, 0.25, 1.0, 1.1, 9.9, 10.0, 35.0, 99.0, 100.0, 120.0, 9900.0, 60000.0]
    every = {bound: number + 1 for number, bound in enumerate(bounds)}
    assert unpacked(packed(every)) == pytest.approx(every)
    assert unpacked(packed({})) == {}


def test_of_a_histogram_that_went_back_all_is_new() -> None:
    assert since({1.0: 5, 20.0: 1}, {1.0: 7, 20.0: 1, 30.0: 2}) == {1.0: 2, 30.0: 2}
    assert since({1.0: 5, 20.0: 1}, {1.0: 7}) == {1.0: 7}
    assert since({1.0: 5}, {}) == {}


# -- two readings ----------------------------------------------------------------------------------


def test_an_interval_is_the_difference_of_two_readings_over_all_targets_of_a_variant() -> None:
    before = {STABLE: Totals(requests=100, errors_5xx=4, timeouts=3, latencies={5.0: 100})}
    now = {
        STABLE: Totals(requests=130, errors_4xx=2, errors_5xx=9, timeouts=6, active=1, latencies={5.0: 130}),
        AGAIN: Totals(requests=10, client=1, active=2, latencies={50.0: 10}),
    }
    assert intervals(before, now, 10.0) == {
        CHURN: Interval(
            10.0, requests=40, model_4xx=2, model_5xx=2, timeouts=3, client=1, active=3, latencies={5.0: 30, 50.0: 10}
        )
    }


def test_after_a_restart_of_the_gateway_nothing_is_negative_and_nothing_huge() -> None:
    before = {STABLE: Totals(requests=100_000, errors_5xx=50, no_answer=50, latencies={5.0: 99_000})}
    now = {STABLE: Totals(requests=12, errors_5xx=1, latencies={5.0: 12})}
    assert intervals(before, now, 1.0) == {CHURN: Interval(1.0, requests=12, model_5xx=1, latencies={5.0: 12})}


def test_a_target_that_was_gone_for_a_while_brings_no_old_errors_back() -> None:
    before = {STABLE: Totals(requests=1000, errors_4xx=70)}  # seen last an hour ago; its requests begin at zero again
    now = {STABLE: Totals(requests=3, errors_4xx=70)}  # Lua's counters do not
    assert intervals(before, now, 1.0) == {CHURN: Interval(1.0, requests=3)}


def test_what_reached_no_variant_is_the_endpoint_s() -> None:
    answer = (
        b'{"stats":[{"name":"http.gateway.lua.churn.no_instance","value":4},{"name":"http.gateway.lua.churn.client",'
    )
    answer += b'"value":1},{"name":"cluster_manager.cds.update_rejected","value":0}]}'
    found = intervals({}, totals_from(answer), 1.0)
    assert found == {("churn", ""): Interval(1.0, no_instance=4, client=1)}


# -- a history -------------------------------------------------------------------------------------


def recorded(*each: tuple[float, float, Interval]) -> History:
    history = History()
    for start, end, interval in each:
        history.add(start, end, {CHURN: interval})
    return history


def test_a_curve_has_rates_of_equal_steps_and_says_nothing_where_nobody_watched() -> None:
    seconds = [(1000.0 + n, 1001.0 + n, Interval(1.0, requests=n, latencies={10.0: n})) for n in range(10)]
    history = recorded(
        *seconds,
        (1020.0, 1024.0, Interval(4.0, requests=8, model_5xx=2, active=3)),
        (1024.0, 1025.0, Interval(1.0)),
        (1025.0, 1026.0, Interval(1.0, requests=9)),  # the step has only just begun
    )
    steps = history.steps(CHURN, 1030.0, 30.0, 5.0)
    assert [step.at for step in steps] == [1005.0, 1010.0, 1015.0, 1020.0, 1025.0, 1030.0]
    assert [step.rate for step in steps] == [2.0, 7.0, None, None, 1.6, None]
    assert [step.errors["model_5xx"] for step in steps] == [0, 0, 0, 0, 0.4, 0]
    assert [step.active for step in steps] == [0, 0, 0, 0, 3, 0]
    assert [step.p50_ms for step in steps] == [10.5, 10.5, None, None, None, None]


def test_a_reading_that_is_made_rarely_is_spread_over_the_steps_it_covers() -> None:
    history = recorded((1000.0, 1010.0, Interval(10.0, requests=100, latencies={20.0: 100})))
    steps = history.steps(CHURN, 1010.0, 10.0, 5.0)
    assert [step.rate for step in steps] == [10.0, 10.0]
    assert [step.p99_ms for step in steps] == [20.99, 20.99]


def test_idle_seconds_are_watched_and_take_no_room() -> None:
    history = recorded(*[(1000.0 + n, 1001.0 + n, Interval(1.0)) for n in range(60)])
    assert {step.rate for step in history.steps(CHURN, 1060.0, 60.0, 5.0)} == {0.0}
    assert history.variants() == frozenset()
    assert history.watched(1060.0, 60.0) == 60.0


def test_a_day_is_kept_by_ten_seconds_and_an_older_one_is_forgotten() -> None:
    history, begin = History(), 1_000_000.0
    for n in range(3 * 86400 // 10):
        at = begin + 10.0 * n
        busy = {CHURN: Interval(10.0, requests=5, latencies={3.0: 5})} if n < 86400 // 10 else {}
        history.add(at, at + 10.0, busy)
        if n == 86400 // 10 - 1:
            day = history.span(CHURN, at + 10.0, 86400.0)
            assert (day.requests, day.seconds) == (86400 // 2, 86400.0)
            assert day.p50_ms == pytest.approx(3.05)
            steps = history.steps(CHURN, at + 10.0, 86400.0, 300.0)
            assert {round(step.rate or 0, 6) for step in steps} == {0.5}
    assert history.variants() == frozenset()
    assert history.span(CHURN, begin + 3 * 86400.0, COARSE[1]).requests == 0


def test_healthy_instances_are_those_of_each_step_s_end() -> None:
    history = recorded(*[(1000.0 + n, 1001.0 + n, Interval(1.0)) for n in range(20)])
    history.add_healthy(1003.0, {CHURN: 2})
    history.add_healthy(1012.0, {})
    assert [step.healthy for step in history.steps(CHURN, 1020.0, 20.0, 5.0)] == [2, 2, 0, 0]


def test_what_was_added_up_counts_each_request_once() -> None:
    history = recorded(*[(1000.0 + n, 1001.0 + n, Interval(1.0, requests=2, latencies={1.0: 2})) for n in range(60)])
    span = history.span(CHURN, 1060.0, 60.0)
    assert (span.requests, span.seconds, span.rate) == (120, 60.0, 2.0)
    assert added([{1.0: 2}, {1.0: 1, 2.0: 1}]) == {1.0: 3, 2.0: 1}
