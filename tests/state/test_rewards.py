"""Rewards of targets, and what follows from them: nothing is lost, and equal models are not told apart."""

from __future__ import annotations

import random

import pytest

from sagespec.state.rewards import MOST_COMPARED, Reward, Rewards


def test_rewards_that_come_target_after_target_are_compared_all_the_same() -> None:
    rewards = Rewards().after([Reward("stable/1", float(number % 10 == 0)) for number in range(40)])
    rewards = rewards.after([Reward("candidate/2", 1.0)] * 20).after([Reward("candidate/2", 1.0)] * 20)
    assert rewards.targets["candidate/2"].count == 40
    evidence = rewards.pair("stable/1", "candidate/2")
    assert evidence.is_enough(0.05)
    assert evidence.leans_up
    assert not rewards.pair("candidate/2", "stable/1").leans_up
    assert Rewards.model_validate_json(rewards.model_dump_json(exclude_defaults=True)) == rewards


@pytest.mark.parametrize("values", [(0.0, 1.0), (0.0, 0.3, 0.8, 1.0)])
def test_equal_models_get_few_verdicts(values: tuple[float, ...]) -> None:
    verdicts = 0
    for seed in range(200):
        dice, rewards, decided = random.Random(seed), Rewards(), False
        for _ in range(25):
            batch = [Reward(dice.choice(("a/1", "a/1", "b/2")), dice.choice(values)) for _ in range(40)]
            rewards = rewards.after(batch)
            decided = decided or rewards.pair("a/1", "b/2").is_enough(0.05)
        verdicts += decided
    assert verdicts <= 10


def test_rewards_of_any_size_tell_models_apart() -> None:
    dice, rewards = random.Random(1), Rewards()
    for _ in range(40):
        low = [Reward("a/1", dice.uniform(0.0, 0.4)) for _ in range(20)]
        rewards = rewards.after(low + [Reward("b/2", dice.uniform(0.5, 1.0)) for _ in range(20)])
    assert rewards.pair("a/1", "b/2").is_enough(0.05)
    low_bound, high_bound = rewards.targets["a/1"].bounds(0.05)
    assert low_bound < 0.2 < high_bound < 0.4


def test_a_control_is_compared_however_many_candidates_came_before() -> None:
    rewards = Rewards()
    for number in range(3 * MOST_COMPARED):
        both = [Reward("stable/1", 0.0), Reward(f"candidate/{number}", 1.0)]
        rewards = rewards.after(both * 20).after(both * 20)
    assert rewards.pair("stable/1", f"candidate/{3 * MOST_COMPARED - 1}").is_enough(0.05)
    assert len(rewards.pairs) == MOST_COMPARED * (MOST_COMPARED - 1), "no more than are compared"
