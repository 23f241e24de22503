"""The check of the split, by figures worked out apart from it, and by what it promises."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sagespec.evidence.sample_ratio import SampleRatio, log_bayes_factor


@pytest.mark.parametrize(
    ("counts", "shares", "prior", "log"),
    [
        ((520, 480), (0.5, 0.5), (0.5, 0.5), -2.879706),
        ((520, 480), (0.5, 0.5), (100, 100), -0.229575),
        ((920, 80), (0.9, 0.1), (90, 10), 1.024208),
        ((9200, 800), (0.9, 0.1), (90, 10), 21.224029),
        ((10, 30), (0.9, 0.1), (0.9, 0.1), 43.956796),
        ((5, 10), (0.9, 0.1), (0.9, 0.1), 10.979612),
        ((0, 3), (0.9, 0.1), (0.9, 0.1), 3.650658),
        ((0, 2), (0.9, 0.1), (0.9, 0.1), 1.704748),
    ],
)
def test_figures(counts: tuple[int, int], shares: tuple[float, float], prior: tuple[float, float], log: float) -> None:
    expected, thought = ({"a": left, "b": right} for left, right in (shares, prior))
    assert log_bayes_factor({"a": counts[0], "b": counts[1]}, expected, thought) == pytest.approx(log, abs=5e-7)


def test_one_look_is_the_figure_of_it() -> None:
    one = SampleRatio().after({"a": 9200, "b": 800}, {"a": 0.9, "b": 0.1})
    assert one.p == pytest.approx(6.06068e-10, rel=1e-5)
    assert SampleRatio().after({"a": 920, "b": 80}, {"a": 0.9, "b": 0.1}).p == pytest.approx(0.359081, abs=5e-7)


def test_looks_under_the_same_weights_add_up() -> None:
    weights = {"a": 0.9, "b": 0.1}
    two = SampleRatio().after({"a": 4600, "b": 400}, weights).after({"a": 4600, "b": 400}, weights)
    assert two.log == pytest.approx(21.224029, abs=5e-7)
    assert replace(two, highest=0.0).after({}, weights).p == 1.0


def test_weights_that_change_break_nothing_and_hide_nothing() -> None:
    dice, fair, broken = random.Random(3), SampleRatio(), SampleRatio()
    for look in range(200):
        share = (0.1, 0.2, 0.5)[look // 70]
        came = sum(dice.random() < share for _ in range(100))
        fair = fair.after({"a": 100 - came, "b": came}, {"a": 1 - share, "b": share})
        less = sum(dice.random() < share * 0.85 for _ in range(100))
        broken = broken.after({"a": 100 - less, "b": less}, {"a": 1 - share, "b": share})
    assert fair.p > 0.05
    assert broken.p < 1e-4


def test_false_alarms_of_many_looks() -> None:
    alarms = 0
    for seed in range(200):
        dice, ratio = random.Random(seed), SampleRatio()
        for _ in range(60):
            came = sum(dice.random() < 0.1 for _ in range(40))
            ratio = ratio.after({"a": 40 - came, "b": came}, {"a": 0.9, "b": 0.1})
        alarms += ratio.p < 0.05
    assert alarms <= 10


def test_a_side_without_a_share_is_none_of_it() -> None:
    ratio = SampleRatio().after({"a": 500, "b": 500, "c": 7}, {"a": 0.5, "b": 0.5, "c": 0.0})
    assert ratio.counts == {"a": 500, "b": 500}
    assert SampleRatio().after({"a": 500}, {"a": 1.0}) == SampleRatio()
