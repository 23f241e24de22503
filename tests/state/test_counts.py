"""Counters that only grow, whatever becomes of the gateway."""

from __future__ import annotations

from sagespec.state.counts import Counted, Counts, Reading


def counts(requests: int, errors: int = 0, **latencies: int) -> Counts:
    return Counts(requests=requests, errors=errors, latencies={float(bound[1:]): n for bound, n in latencies.items()})


def reading(counts: dict[str, Counts], gateway: str = "g1") -> Reading:
    return Reading(gateway, counts)


def after(*looks: dict[str, Counts]) -> Counted:
    counted = Counted()
    for look in looks:
        counted = counted.after(reading(look))
    return counted


def test_it_grows_with_the_gateway() -> None:
    counted = after({"a/1": counts(10, 1, _5=10)}, {"a/1": counts(25, 2, _5=20, _7=5)})
    assert counted.of("a/1") == counts(25, 2, _5=20, _7=5)
    assert counted.before == {}


def test_a_gateway_that_was_started_again_adds_to_the_earlier_one() -> None:
    counted = after({"a/1": counts(100, 3, _5=100)}, {"a/1": counts(7, 0, _5=7)})
    assert counted.of("a/1") == counts(107, 3, _5=107)


def test_a_target_that_has_gone_keeps_its_counts() -> None:
    counted = (
        Counted()
        .after(reading({"a/1": counts(100)}))
        .after(reading({"b/2": counts(5)}))
        .after(reading({"b/2": counts(6)}))
    )
    assert counted.of("a/1") == counts(100)
    assert counted.after(reading({"a/1": counts(2), "b/2": counts(6)})).of("a/1") == counts(102)
    assert counted.targets == ("a/1", "b/2")


def test_looks_change_nothing_where_nothing_came() -> None:
    once = Counted().after(reading({"a/1": counts(10)}))
    assert once.after(reading({"a/1": counts(10)})) == once


def test_errors_that_stay_when_requests_are_forgotten_count_once() -> None:
    """As Envoy has it when the last instance of a target has gone and comes back."""
    counted = after({"a/1": counts(100, 7, _5=100)}, {"a/1": counts(0, 7)})
    assert counted.of("a/1") == counts(100, 7, _5=100)
    assert counted.after(reading({"a/1": counts(5, 8, _5=5)})).of("a/1") == counts(105, 8, _5=105)


def test_requests_are_not_counted_again_where_only_their_latencies_are_forgotten() -> None:
    """As Envoy does with a target that has left the routes; its requests count on when it comes back."""
    first, gone, back = counts(563, 5, _1=500, _2=63), counts(563, 5), counts(674, 6, _1=111)
    for looks in ((first, gone, back), (first, back)):
        counted = after(*({"a/1": look} for look in looks))
        assert counted.of("a/1") == counts(674, 6, _1=611, _2=63)


def test_another_gateway_that_has_counted_more_by_now_is_no_later_look_at_the_same() -> None:
    counted = after({"a/1": counts(10, 1)}).after(reading({"a/1": counts(30)}, "g2"))
    assert counted.of("a/1") == counts(40, 1)
    assert counted.seen == {"a/1": counts(30)}


def test_a_record_of_an_earlier_release_says_nothing_of_its_gateway() -> None:
    earlier = Counted.model_validate({"before": {"a/1": {"requests": 5}}, "seen": {"a/1": {"requests": 10}}})
    assert earlier.after(reading({"a/1": counts(12)})).of("a/1") == counts(17)
    assert earlier.after(reading({"a/1": counts(3)})).of("a/1") == counts(18)
