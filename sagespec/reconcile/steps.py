"""The steps of a rollout: how long each lasts, and what share and which instances old and new have in it.

Called by `rollouts`. A function of the two specs alone, so whoever continues a rollout finds the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sagespec.reconcile.instances import Instance
from sagespec.spec.rollout import CANARY, LINEAR, ROLLING, number_of_steps
from sagespec.state.desired import DesiredEndpoint
from sagespec.state.hashes import same_hash
from sagespec.state.observed import Route, Target


@dataclass(frozen=True)
class Step:
    """shares: of a replaced variant's traffic that the candidate has. share: of all that is replaced, for people. old,
    new: how many instances of a replaced variant there are on each side."""

    number: int
    steps: int
    seconds: float
    share: float
    shares: Mapping[str, float]
    old: Mapping[str, int]
    new: Mapping[str, int]


def replaced_variants(candidate: DesiredEndpoint, live: DesiredEndpoint) -> tuple[str, ...]:
    """The candidate's variants that need containers which are not there."""

    def is_new(name: str, hash_text: str) -> bool:
        before = live.variant(name)
        return before is None or not same_hash(hash_text, before.hash)

    return tuple(variant.name for variant in candidate.variants if is_new(variant.name, variant.hash))


def steps_of(candidate: DesiredEndpoint, live: DesiredEndpoint) -> tuple[Step, ...]:
    rollout, names = candidate.record.rollout, replaced_variants(candidate, live)
    now = {variant.name: variant.instances for variant in candidate.variants if variant.name in names}
    before = {variant.name: variant.instances for variant in live.variants}
    weights = {variant.name: variant.weight for variant in candidate.variants if variant.name in names}
    count = number_of_steps(rollout.strategy, rollout.moves, list(now.values()))
    steps, had = [], dict.fromkeys(now, 0)
    for number in range(1, count + 1):
        is_last = number == count
        new = {n: math.ceil(of * number / count - 1e-9) if rollout.strategy == ROLLING else of for n, of in now.items()}
        old = {
            n: before.get(n, 0) - (had[n] * before.get(n, 0) // of if rollout.strategy == ROLLING else 0)
            for n, of in now.items()
        }
        shares = {n: 1.0 if is_last else _share(rollout.strategy, number, rollout.moves.of(now[n])) for n in now}
        if rollout.strategy == ROLLING:
            shares = {n: new[n] / now[n] for n in now}
        seconds = rollout.bake_seconds if is_last else rollout.wait
        steps.append(Step(number, count, seconds, _of_all(shares, weights), shares, old, new))
        had = new
    return tuple(steps)


def _share(strategy: str, number: int, size: float) -> float:
    return min(1.0, round(size * number, 9)) if strategy == LINEAR else size if strategy == CANARY else 1.0


def _of_all(shares: Mapping[str, float], weights: Mapping[str, float]) -> float:
    total = math.fsum(weights.values())
    if not total:
        return math.fsum(shares.values()) / len(shares)
    return round(math.fsum(share * weights[name] for name, share in shares.items()) / total, 9)


def limited(instances: tuple[Instance, ...], counts: Mapping[str, int]) -> tuple[Instance, ...]:
    """Of each variant only the first so many; all of those without a count."""
    return tuple(
        i for i in instances if i.variant.name not in counts or (i.address.instance or 0) < counts[i.variant.name]
    )


def mixture(live: Route, candidate: Route, step: Step) -> Route:
    """(1 - share) of one route and share of the other; what is in both is one target. Weights add up to 1 as far as
    the variants' shares are equal. Old stands before new within a variant, so that a larger share moves one boundary
    only, where callers keep their variant by a key."""
    targets: dict[tuple[str, str], Target] = {}
    for route, is_new in ((live, False), (candidate, True)):
        total = math.fsum(target.weight for target in route.targets) or 1.0
        for target in route.targets:
            share = step.shares.get(target.variant, step.share)
            weight = target.weight / total * (share if is_new else 1 - share)
            had = targets.get((target.variant, target.hash), replace(target, weight=0.0, instances=()))
            names = tuple(sorted({*had.instances, *target.instances}))
            targets[target.variant, target.hash] = replace(had, weight=round(had.weight + weight, 9), instances=names)
    order = _order([t.variant for t in live.targets], [t.variant for t in candidate.targets])
    in_order = sorted(targets.values(), key=lambda target: order.index(target.variant))
    return replace(candidate, targets=tuple(in_order))


def _order(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The variants of now, and each of before that goes behind the one it stood behind.

    >>> _order(["a", "b", "c"], ["c", "d"])
    ['a', 'b', 'c', 'd']
    """
    order = list(now)
    for place, name in enumerate(before):
        if name not in order:
            order.insert(order.index(before[place - 1]) + 1 if place else 0, name)
    return order
