"""What a change of an endpoint's split means, and how many callers get another variant. Called by `causes`. Pure.

Keys are spread evenly over the line from 0 to 1, and each variant has a part of it, in the order of the spec.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from sagespec.causes import Change
from sagespec.state.desired import DesiredEndpoint

Shares = Sequence[tuple[str, float]]


def share_moved(before: Shares, after: Shares) -> float:
    """The share of callers whose variant is another one, both given by name and weight.

    >>> round(share_moved([("a", 90), ("b", 10)], [("a", 80), ("b", 20)]), 9)
    0.1
    >>> round(share_moved([("a", 1), ("b", 1), ("c", 1)], [("a", 1), ("c", 1)]), 9)  # c grows to the left
    0.333333333
    """
    ends = sorted({0.0, *(end for shares in (before, after) for _, end in _ends(shares))})
    middles = ((low, high, (low + high) / 2) for low, high in itertools.pairwise(ends))
    return math.fsum(high - low for low, high, at in middles if _at(before, at) != _at(after, at))


def _ends(shares: Shares) -> list[tuple[str, float]]:
    total = math.fsum(weight for _, weight in shares)
    return [
        (name, math.fsum(weight for _, weight in shares[: count + 1]) / total) for count, (name, _) in enumerate(shares)
    ]


def _at(shares: Shares, place: float) -> str:
    return next((name for name, end in _ends(shares) if place < end), "")


def callers_moved(before: DesiredEndpoint, goal: DesiredEndpoint) -> float | None:
    """The share of callers who get another variant; None where they are not told apart, before or after."""
    if not goal.record.split.key or before.record.split.key != goal.record.split.key:
        return None
    old, new = ([(variant.name, variant.weight) for variant in one.variants] for one in (before, goal))
    return share_moved(old, new) if old != new else None


def moving_note(before: DesiredEndpoint, goal: DesiredEndpoint) -> str:
    """What a change of the split means for callers; '' where it means nothing to a single one."""
    moved, had, has = callers_moved(before, goal), before.record.split.key, goal.record.split.key
    if moved is not None:
        return f"{100 * moved:.3g} % of callers change variant"
    if had == has:
        return ""
    return "all callers are divided again" if had and has else "callers keep their variants" if has else ""


def split_changes(before: DesiredEndpoint, goal: DesiredEndpoint) -> tuple[Change, ...]:
    """What besides weights decides who gets which variant: the key, with one the variants' order, and what becomes of
    the share of one that is down."""
    changes = []
    old, new = before.record, goal.record
    if old.split.key != new.split.key:
        changes.append(Change("split.key", old.split.key or "none", new.split.key or "none"))
    had, has = (
        [v.name for v in one.variants if before.variant(v.name) and goal.variant(v.name)] for one in (before, goal)
    )
    if new.split.key and had != has:
        changes.append(Change("variants", ", ".join(had), ", ".join(has)))
    if old.when_down != new.when_down:
        changes.append(Change("when_down", old.when_down, new.when_down))
    return tuple(changes)
