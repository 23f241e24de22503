"""What decides over a candidate, by counts alone: no count speaks twice, and none says more than it can."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sagespec.reconcile.judging import Pair, looked_again, pairs_of, why_worse
from sagespec.state.counts import Counted, Counts, Reading
from sagespec.state.observed import Route, Target
from sagespec.state.progress import Progress
from sagespec.state.revision import EndpointRecord
from sagespec.state.rollout import RolloutRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIVE, CANDIDATE = "main/1-a", "main/1-b"
PAIRS = (Pair((LIVE,), (CANDIDATE,)),)


def progress(*rules: dict[str, Any], live: tuple[int, int]) -> Progress:
    """Of a candidate that was not asked yet. live: how many requests came before to what is live, and failed."""
    rollout = RolloutRecord(strategy="canary", abort_when=rules) if rules else RolloutRecord(strategy="canary")
    requests, errors = live
    counted = Counted().after(Reading("g", {LIVE: Counts(requests=requests, errors=errors)}))
    totals = {target: counted.of(target) for target in counted.targets}
    asked = EndpointRecord(rollout=rollout)
    return Progress(
        endpoint="churn",
        number=2,
        hash="1-x",
        asked=asked,
        step=1,
        since=NOW,
        begun=NOW,
        looked_at=NOW,
        counted=counted,
        at_begin=totals,
        at_step=totals,
    )


def looked(before: Progress, live: tuple[int, int], candidate: tuple[int, int]) -> Progress:
    """With one more look at all that the gateway has counted: requests, and how many of them failed."""
    pairs = ((LIVE, live), (CANDIDATE, candidate))
    counts = {target: Counts(requests=requests, errors=errors) for target, (requests, errors) in pairs}
    return looked_again(before, Reading("g", counts), PAIRS, NOW, is_over=True) or before


def failures(dice: random.Random, requests: int, rate: float) -> int:
    return sum(dice.random() < rate for _ in range(requests))


def test_a_rule_that_is_there_twice_counts_once() -> None:
    rules = ({"errors": "worse"}, {"errors": "worse", "alpha": "5%"})
    once, twice = (looked(progress(*given, live=(0, 0)), (90, 0), (10, 2)) for given in (rules[:1], rules))
    assert once.evidence["errors"].highest > 0
    assert twice.evidence == once.evidence


def route(*targets: str) -> Route:
    pairs = (target.split("/") for target in targets)
    return Route("churn", tuple(Target(variant, of, 1.0) for variant, of in pairs))


def test_variants_that_are_held_against_the_same_one_are_one_pair() -> None:
    """Else its luck of one moment would speak once for each of them."""
    assert pairs_of(route("a/1"), route("b/2", "c/3")) == (Pair(("a/1",), ("b/2", "c/3")),)
    assert pairs_of(route("a/1"), route("a/1", "b/2", "c/3")) == (Pair(("a/1",), ("b/2", "c/3")),)
    changed: Sequence[Pair] = pairs_of(route("a/1", "b/1"), route("a/2", "b/2"))
    assert changed == (Pair(("a/1",), ("a/2",)), Pair(("b/1",), ("b/2",)))
    assert pairs_of(route("a/1", "b/1"), route("a/2", "b/2", "c/2")) == (Pair(("a/1", "b/1"), ("a/2", "b/2", "c/2")),)


def test_few_requests_before_a_bake_take_back_few_models_that_are_as_good() -> None:
    """All of the traffic at once: nobody knows well how often the live one failed."""
    dice, alarms = random.Random(1), 0
    for _ in range(100):
        before, errors = (100, failures(dice, 100, 0.02)), 0
        now = progress(live=before)
        for number in range(1, 21):
            errors += failures(dice, 150, 0.02)
            now = looked(now, before, (150 * number, errors))
        alarms += bool(why_worse(now, PAIRS))
    assert alarms <= 1


def test_a_model_in_its_bake_that_fails_ten_times_as_often_is_taken_back() -> None:
    dice, before, errors = random.Random(1), (1000, 5), 0
    now = progress(live=before)
    for number in range(1, 6):
        errors += failures(dice, 100, 0.05)
        now = looked(now, before, (100 * number, errors))
    assert "before: worse" in why_worse(now, PAIRS)
