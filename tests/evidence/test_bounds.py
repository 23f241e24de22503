"""Confidence sequences and the boundaries they are made of, by figures worked out apart from them."""

from __future__ import annotations

import math
import random
import re

import pytest

from sagespec.evidence.bounds import Bounds, Difference, Mean, rate_bounds
from sagespec.evidence.mixtures import (
    Log,
    best_rho,
    beta_binomial,
    boundary,
    gamma_exponential,
    gamma_poisson,
    one_sided_normal,
    poly_stitching,
    two_sided_normal,
)

S, V, ALPHA = 10.0, 100.0, 0.05
TWO, ONE = best_rho(V, ALPHA), best_rho(V, ALPHA, one_sided=True)
ROWS = re.findall(
    r"\d\d",
    "11 00 00 10 00 11 00 00 01 11 01 00 00 01 10 00 11 00 01 01 10 11 11 10 10 01 10 00 00 01 00 11 00 11 11 01 01 10 "
    "00 01 01 01 01 00 11 00 00 11 01 01 00 00 01 00 01 01 00 00 11 01",
)  # the value and whether the candidate had it


def test_the_best_rho() -> None:
    assert best_rho(V, ALPHA) == pytest.approx(12.60056, abs=5e-6)


@pytest.mark.parametrize(
    ("log", "at_s", "bound", "most"),
    [
        (two_sided_normal(TWO), -0.6510052, 30.35209, math.inf),
        (one_sided_normal(ONE), -0.06502391, 27.66071, math.inf),
        (gamma_exponential(ONE, 2.0), -0.2490165, 33.02017, math.inf),
        (gamma_poisson(ONE, 2.0), -0.06991219, 30.1949, math.inf),
        (beta_binomial(TWO, 0.2, 0.8), -0.6941012, 31.4308, V / 0.2),
        (beta_binomial(ONE, 0.2, 0.8, one_sided=True), -0.07134019, 28.41238, V / 0.2),
    ],
)
def test_mixtures(log: Log, at_s: float, bound: float, most: float) -> None:
    assert log(S, V) == pytest.approx(at_s, abs=1e-7)
    assert boundary(log, V, ALPHA, most=most) == pytest.approx(bound, abs=1e-5)


def test_the_stitched_boundary() -> None:
    assert poly_stitching(V, ALPHA, v_min=10, c=3) == pytest.approx(64.48755, abs=5e-6)
    assert poly_stitching(V, ALPHA, v_min=10, c=-1) == pytest.approx(28.99389, abs=5e-6)


@pytest.mark.parametrize(
    ("events", "requests", "bounds"),
    [
        (20, 100, (0.095969266, 0.335923433)),
        (0, 100, (0.0, 0.039884216)),
        (200, 1000, (0.163296016, 0.239984794)),
        (100, 100, (1 - 0.039884216, 1.0)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_a_rate(events: int, requests: int, bounds: tuple[float, float]) -> None:
    assert rate_bounds(events, requests) == pytest.approx(bounds, abs=5e-10)


def test_a_difference_under_random_assignment() -> None:
    difference, found = Difference(tightest_at=50), {}
    for number, (value, is_candidate) in enumerate(ROWS, start=1):
        difference = difference.after(int(value), is_candidate=is_candidate == "1", share=0.5)
        found[number] = (difference.p(), difference.mean, *difference.bounds())
    assert found[1][0] == pytest.approx(0.983920079, abs=5e-10)
    assert found[2][0] == pytest.approx(0.803732245, abs=5e-10)
    assert found[42][1:] == pytest.approx((0.114248658098, -0.762955936, 0.991453252), abs=5e-10)
    assert found[60][1:] == pytest.approx((0.157080803746, -0.506530210, 0.820691817), abs=5e-10)


def test_a_split_that_changes_with_the_base_rate_shifts_no_difference() -> None:
    """From 10 % of the requests at a rate of 0.1 to 50 % at 0.6: the pooled rates differ by 0.2, the models do not."""
    dice, difference = random.Random(12), Difference(least_share=0.1, tightest_at=8000)
    pooled: dict[bool, list[int]] = {True: [], False: []}
    for share, rate in [(0.1, 0.1)] * 4000 + [(0.5, 0.6)] * 4000:
        is_candidate, value = dice.random() < share, int(dice.random() < rate)
        pooled[is_candidate].append(value)
        difference = difference.after(value, is_candidate=is_candidate, share=share)
    naive = sum(pooled[True]) / len(pooled[True]) - sum(pooled[False]) / len(pooled[False])
    low, high = difference.bounds()
    assert naive > 0.15
    assert low < 0 < high < naive


def test_a_mean_of_any_values_lies_within_its_bounds_at_every_look() -> None:
    outside = 0
    for seed in range(40):
        dice, mean = random.Random(seed), Mean(low=0.0, high=10.0)
        missed = False
        for number in range(1, 801):
            mean = mean.after(dice.choice((1.0, 2.0, 6.0)))
            if number % 50 == 0:
                low, high = mean.bounds(0.05)
                missed = missed or not low <= 3.0 <= high
        outside += missed
    assert outside <= 5
    assert mean.bounds(0.05).high - mean.bounds(0.05).low < 1.2
    assert Mean().bounds() == Bounds(0.0, 1.0)
