"""What was counted of an endpoint, look by look: whoever looks, nothing is counted twice, and nothing is lost."""

from __future__ import annotations

import random

from sagespec.evidence.sequential import EITHER, Arm, Evidence
from sagespec.state.counts import Counts, Reading
from sagespec.state.tally import Tally

EVEN = {"stable/1-a": 0.5, "candidate/1-b": 0.5}


def reading(gateway: str = "g1", /, shares: dict[str, float] = EVEN, **requests: tuple[int, int]) -> Reading:
    """requests: of a target that begins so, how many, and how many of them failed."""
    names = {target.partition("/")[0]: target for target in shares}
    counts = {names[name]: Counts(requests=n, errors=failed) for name, (n, failed) in requests.items()}
    return Reading(gateway, counts, shares)


def test_a_second_look_at_the_same_counts_takes_in_nothing() -> None:
    once = Tally().after(reading(stable=(10, 1), candidate=(12, 0)))
    assert once.came(reading(stable=(10, 1), candidate=(12, 0))) == {}
    twice = once.after(reading(stable=(15, 1), candidate=(12, 0)))
    assert twice.targets["stable/1-a"].requests == 15


def test_another_gateway_counts_from_zero() -> None:
    """Also when it has counted more by now than the one before had."""
    tally = Tally().after(reading(stable=(10, 1))).after(reading("g2", stable=(30, 0)))
    assert tally.targets["stable/1-a"] == Counts(requests=40, errors=1)


def test_requests_that_envoy_forgot_and_errors_that_it_did_not() -> None:
    """Its own counters of a target go with its last instance; those of the script stay."""
    before = Counts(requests=100, errors=7, latencies={5.0: 100})
    assert Counts(errors=7).since(before) == Counts()
    assert Counts(requests=3, errors=8, latencies={5.0: 3}).since(before) == Counts(
        requests=3, errors=1, latencies={5.0: 3}
    )


def test_a_revision_keeps_what_its_targets_had() -> None:
    tally, _ = Tally().after(reading(stable=(10, 0), candidate=(10, 5))).begin(1, ["stable/1-a", "candidate/1-b"])
    rolled = {"stable/1-a": 0.9, "next/1-c": 0.1}
    tally = tally.after(reading(shares=rolled, stable=(30, 0), next=(2, 0)))
    assert {target: one.requests for target, one in tally.of_revision.items()} == {
        "stable/1-a": 30,
        "candidate/1-b": 10,
    }
    new, stays = tally.begin(2, ["stable/1-a", "next/1-c"])
    assert {target: one.requests for target, one in stays.items()} == {"stable/1-a": 30, "candidate/1-b": 10}
    assert {target: one.requests for target, one in new.here.items()} == {"next/1-c": 2}
    assert new.targets["stable/1-a"].requests == 30  # of the target itself, for comparisons
    assert "candidate/1-b" not in new.targets

    given_up, tried = tally.give_up()
    assert {target: one.requests for target, one in tried.items()} == {"next/1-c": 2}
    assert "next/1-c" not in given_up.here


def test_weights_that_shift_while_the_base_rate_doubles_give_no_verdict() -> None:
    """Simpson's trap, through what is kept: pooled, the candidate seems to fail more often."""
    dice, tally, total = random.Random(5), Tally(), {"stable": [0, 0], "candidate": [0, 0]}
    for share, rate in [(0.1, 0.02)] * 60 + [(0.9, 0.04)] * 60:
        for _ in range(200):
            name = "candidate" if dice.random() < share else "stable"
            total[name][0] += 1
            total[name][1] += dice.random() < rate
        shares = {"stable/1-a": 1 - share, "candidate/1-b": share}
        stable, candidate = ((requests, failed) for requests, failed in total.values())
        tally = tally.after(reading(shares=shares, stable=stable, candidate=candidate))
    pooled = Evidence(EITHER).after(*(Arm(*total[name]) for name in ("stable", "candidate")))
    assert pooled.is_enough(0.05)
    assert not tally.pair("stable/1-a", "candidate/1-b").is_enough(0.05)
    assert tally.ratio.as_sample_ratio().p > 0.05
    assert Tally.model_validate_json(tally.model_dump_json(exclude_defaults=True)) == tally


def test_what_came_while_the_weights_changed_breaks_no_split() -> None:
    """A busy endpoint gets hundreds of requests between the look before a route and the route."""
    canary = {"stable/1-a": 0.9, "candidate/1-b": 0.1}
    before = Tally().after(reading(shares={"stable/1-a": 1.0}, stable=(1000, 0)))
    now = reading(shares=canary, stable=(1300, 0), candidate=(0, 0))
    assert before.after(now).ratio.as_sample_ratio().p < 0.001
    mixed = before.after(now, is_mixed=True)
    assert mixed.targets["stable/1-a"].requests == 1300
    assert mixed.after(reading(shares=canary, stable=(1390, 0), candidate=(10, 0))).ratio.as_sample_ratio().p == 1


def test_a_split_that_was_broken_says_nothing_of_the_models_after_it() -> None:
    tally, _ = Tally().begin(1, ["stable/1-a", "candidate/1-b"])
    tally = tally.after(reading(stable=(500, 0), candidate=(10, 0)))
    assert tally.ratio.as_sample_ratio().p < 0.001
    assert tally.begin(2, ["stable/1-a", "candidate/1-b"])[0].ratio == tally.ratio
    assert tally.begin(2, ["stable/1-a", "candidate/1-c"])[0].ratio.as_sample_ratio().p == 1


def test_the_first_look_tells_a_broken_split() -> None:
    """No revision is known before it, so that none has ended."""
    tally, _ = Tally().after(reading(stable=(60, 0))).begin(1, ["stable/1-a", "candidate/1-b"])
    assert tally.ratio.as_sample_ratio().p < 0.001
    another, _ = tally.begin(2, ["stable/1-a", "next/1-c"])
    assert another.ratio.as_sample_ratio().p == 1.0
