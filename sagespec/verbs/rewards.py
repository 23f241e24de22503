"""What rewards each target of an endpoint has had, on the scale of its spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sagespec.evidence.bounds import Bounds
from sagespec.evidence.sequential import Arm
from sagespec.evidence.verdict import Verdict, verdict
from sagespec.parts import Parts
from sagespec.records.rewards import KeptRewards
from sagespec.spec.compare import Compare
from sagespec.state.rewards import Rewards, Sum


@dataclass(frozen=True)
class Rewarded:
    """One target's."""

    count: int = 0
    mean: float | None = None
    bounds: Bounds = field(default=Bounds(0.0, 1.0))


def rewards_of(parts: Parts, endpoint_name: str) -> Rewards:
    return KeptRewards(parts.store, parts.records.project_name).read(endpoint_name)[0]


def rewarded(kept: Rewards, asked: Compare) -> Mapping[str, Rewarded]:
    """By target."""
    width, least = kept.most - kept.least, kept.least

    def scaled(value: float) -> float:
        return least + width * value

    found = {}
    for target, one in kept.targets.items():
        low, high = one.bounds(asked.level)
        found[target] = Rewarded(one.count, scaled(one.total / one.count), Bounds(scaled(low), scaled(high)))
    return found


def reward_verdict(kept: Rewards, control: str, candidate: str, alpha: float) -> Verdict | None:
    """None where one of the two has had none."""
    if control not in kept.targets or candidate not in kept.targets:
        return None
    arms = [_arm(kept.targets[target]) for target in (control, candidate)]
    return verdict(kept.pair(control, candidate), *arms, alpha=alpha, more_is_better=True)


def _arm(one: Sum) -> Arm:
    """Rewards as if each were one or none, for a guess at how many more it takes."""
    return Arm(one.count, round(one.total))
