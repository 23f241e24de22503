"""What the default rule of a rollout promises, in simulated rollouts: few false alarms, few failures let through."""

from __future__ import annotations

import math
import random
from statistics import median

from sagespec.evidence.sequential import EITHER, Arm, Evidence
from sagespec.evidence.verdict import verdict

ALPHA = 0.01  # of a rollout's default rule
REQUESTS, SHARE, LOOKS = 200, 0.1, 60


def events(dice: random.Random, requests: int, rate: float) -> int:
    """How many of so many requests fail: from one failure to the next, which is quick where they are rare."""
    found, at = 0, 0
    while True:
        at += int(math.log(1 - dice.random()) / math.log1p(-rate)) + 1
        if at > requests:
            return found
        found += 1


def rollout(seed: int, rate: float, candidate_rate: float) -> tuple[bool, int]:
    """Whether it was taken back, and how many failures of the candidate it let through until then."""
    dice, evidence, failures = random.Random(seed), Evidence(), 0
    for _ in range(LOOKS):
        asked = events(dice, REQUESTS, SHARE)
        control = Arm(REQUESTS - asked, events(dice, REQUESTS - asked, rate))
        candidate = Arm(asked, events(dice, asked, candidate_rate))
        failures += candidate.events
        evidence = evidence.after(control, candidate)
        if evidence.is_enough(ALPHA):
            return True, failures
    return False, failures


def test_false_alarms_in_a_thousand_rollouts_of_an_equal_model() -> None:
    alarms = sum(rollout(seed, 0.005, 0.005)[0] for seed in range(1000))
    assert alarms <= 20, alarms


def test_a_model_that_fails_ten_times_as_often_lets_few_failures_through() -> None:
    ends = [rollout(seed, 0.005, 0.05) for seed in range(300)]
    assert all(taken_back for taken_back, _ in ends)
    assert median(failures for _, failures in ends) <= 6


def test_two_equal_models_get_no_verdict_in_an_hour_of_looks() -> None:
    """Twenty looks a minute, at the level of a comparison; so few false verdicts are promised, not none: the seed's."""
    dice, evidence = random.Random(7), Evidence(EITHER)
    for _ in range(1200):
        evidence = evidence.after(Arm(90, events(dice, 90, 0.01)), Arm(10, events(dice, 10, 0.01)))
        assert not evidence.is_enough(0.05)


def test_a_split_that_shifts_as_the_base_rate_doubles_gives_no_verdict() -> None:
    """Simpson's trap: pooled, the candidate fails at 1.9 times the control's rate, and is the same model."""
    dice, evidence, pooled = random.Random(5), Evidence(EITHER), [[0, 0], [0, 0]]
    for share, rate in [(0.1, 0.02)] * 100 + [(0.9, 0.04)] * 100:
        asked = events(dice, 200, share)
        came = [Arm(requests, events(dice, requests, rate)) for requests in (200 - asked, asked)]
        for side, arm in zip(pooled, came, strict=True):
            side[0] += arm.requests
            side[1] += arm.events
        evidence = evidence.after(*came)
    assert not evidence.is_enough(0.05)
    once = Evidence(EITHER).after(*(Arm(*side) for side in pooled))
    assert once.is_enough(0.05)


def test_a_verdict_says_how_many_requests_more_it_takes_about() -> None:
    """Five times the errors: known after about as many requests as the first look foretold."""
    dice, evidence, counted = random.Random(1), Evidence(EITHER), [Arm(0, 0), Arm(0, 0)]
    foretold: list[int] = []
    while not (found := verdict(evidence, *counted, alpha=0.05, more_is_better=False)).is_known:
        asked = events(dice, 200, 0.3)
        came = [Arm(200 - asked, events(dice, 200 - asked, 0.01)), Arm(asked, events(dice, asked, 0.05))]
        evidence = evidence.after(*came)
        counted = [Arm(a.requests + b.requests, a.events + b.events) for a, b in zip(counted, came, strict=True)]
        if found.more:
            foretold.append(found.more)
    assert found.found == "worse"
    assert counted[0].requests + counted[1].requests <= 3000
    assert foretold
    assert foretold[0] <= 3000
    assert verdict(evidence, *counted, alpha=0.05, more_is_better=True).found == "better"


def test_without_an_event_nothing_can_be_foretold() -> None:
    found = verdict(Evidence(EITHER), Arm(100, 0), Arm(100, 0), alpha=0.05, more_is_better=False)
    assert found.found == "no difference known"
    assert found.more is None
