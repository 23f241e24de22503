"""The rewards of an endpoint's targets, and whether they differ: kept in the store, as its counts are. Pure.

Rewards come late and some at a time, so a look lasts until both of two targets have had LOOK_REWARDS or more, which
says nothing of how high they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

from pydantic import Field

from sagespec.evidence.bounds import Bounds, Mean, rate_bounds
from sagespec.evidence.sequential import EITHER, Arm, Evidence, Values
from sagespec.state.manifest import Record

REWARDS_FORMAT = 1
LOOK_REWARDS = 5
MOST_COMPARED = 12  # targets that each is compared with each


class Reward(NamedTuple):
    """value: between 0 and 1, of the range that the spec gives."""

    target: str
    value: float


class Sum(Record):
    """What one target has had. squares: of how far each was from the mean of those before; is_yes_or_no: whether each
    was 0 or 1."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    is_yes_or_no: bool = True

    def after(self, value: float) -> Sum:
        mean = self._mean.after(value)
        return Sum(
            count=mean.count,
            total=mean.total,
            squares=mean.squares,
            is_yes_or_no=self.is_yes_or_no and value in (0.0, 1.0),
        )

    def bounds(self, alpha: float) -> Bounds:
        """Of the mean, between 0 and 1, at every look."""
        if self.is_yes_or_no:
            return rate_bounds(self.total, self.count, alpha=alpha)
        return self._mean.bounds(alpha)

    @property
    def _mean(self) -> Mean:
        return Mean(count=self.count, total=self.total, squares=self.squares)


class RewardPair(Record):
    """Whether the second of two targets is rewarded more, or less than the first. first, second: of the look that has
    not ended: how many rewards, and what they add up to."""

    logs: tuple[float, ...] = ()
    highest: float = 0.0
    first: tuple[int, float] = (0, 0.0)
    second: tuple[int, float] = (0, 0.0)

    @property
    def evidence(self) -> Evidence:
        return Evidence(EITHER, self.logs, self.highest)

    def with_one(self, value: float, *, is_second: bool) -> RewardPair:
        name, (count, total) = ("second", self.second) if is_second else ("first", self.first)
        return self.model_copy(update={name: (count + 1, total + value)})

    def ended(self, *, is_yes_or_no: bool) -> RewardPair:
        """With the look that is open taken in, if it is long enough."""
        (first, first_total), (second, second_total) = self.first, self.second
        if first < LOOK_REWARDS or second < LOOK_REWARDS:
            return self
        if is_yes_or_no:
            evidence = self.evidence.after(Arm(first, round(first_total)), Arm(second, round(second_total)))
        else:
            evidence = self.evidence.after_values(Values(first, first_total), Values(second, second_total))
        return RewardPair(logs=evidence.logs, highest=evidence.highest)


class Rewards(Record):
    """least, most: the range that the values were given in. refused: lines that came through the gateway and could not
    be used. unknown: rewards for predictions that are not known, or had one."""

    format: int = REWARDS_FORMAT
    least: float = 0.0
    most: float = 1.0
    targets: dict[str, Sum] = Field(default_factory=dict)
    pairs: dict[str, RewardPair] = Field(default_factory=dict)
    refused: int = 0
    unknown: int = 0

    def after(self, rewards: Sequence[Reward]) -> Rewards:
        """With those that came together."""
        targets, pairs = dict(self.targets), dict[str, RewardPair]()
        for target, value in rewards:
            targets[target] = targets.pop(target, Sum()).after(value)  # to the end: the order is of the last rewards
        compared = list(targets)[-MOST_COMPARED:]
        for first, second in permutations(compared, 2):
            pair = self.pairs.get(f"{first}|{second}") or self._all_open(first, second)
            for target, value in rewards:
                if target in (first, second):
                    pair = pair.with_one(value, is_second=target == second)
            both = targets[first].is_yes_or_no and targets[second].is_yes_or_no
            pairs[f"{first}|{second}"] = pair.ended(is_yes_or_no=both)
        return self.model_copy(update={"targets": targets, "pairs": pairs})

    def _all_open(self, first: str, second: str) -> RewardPair:
        """Of two that were not compared yet: all that they have had."""
        sums = [self.targets.get(target, Sum()) for target in (first, second)]
        return RewardPair(first=(sums[0].count, sums[0].total), second=(sums[1].count, sums[1].total))

    def pair(self, control: str, candidate: str) -> Evidence:
        return self.pairs.get(f"{control}|{candidate}", RewardPair()).evidence
