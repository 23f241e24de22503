"""What the labels are, in a line: `label: column 1 (age), from 18 to 84`. A wrong column shows by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from toolkit.hosts import Hosts
from toolkit.rows import FloatArray

_Facts: TypeAlias = tuple[float, float, dict[float, int] | None]

MOST_COUNTED = 20  # whole numbers up to which rows are counted by label
MOST_SHOWN = 5


def label_line(hosts: Hosts, labels: FloatArray, where: str, *, classes: Sequence[str], is_whole: bool) -> str:
    """where: the labels' column, if they have one. is_whole: whether these are the labels of all hosts."""
    own = _facts(labels)
    seen = own if is_whole else [fact for facts in hosts.each(own) for fact in facts]
    if not seen:
        return ""
    counts: dict[float, int] | None = {}
    for _, _, some in seen:
        counts = None if counts is None or some is None else counts | {k: counts.get(k, 0) + n for k, n in some.items()}
    place = f"label: {where}" if where else "label"
    if counts is None or len(counts) > MOST_SHOWN:
        lowest, highest = min(fact[0] for fact in seen), max(fact[1] for fact in seen)
        if classes:
            return f"{place}: {len(classes)} classes"
        return f"{place}, from {lowest:g} to {highest:g}"
    (first, count), *others = sorted(counts.items())
    rest = "".join(f", {more:,} of {_name(label, classes)}" for label, more in others)
    return f"{place}: {count:,} row{'' if count == 1 else 's'} of {_name(first, classes)}{rest}"


def _facts(labels: FloatArray) -> list[_Facts]:
    """The lowest and the highest label, and how many rows have each, where labels are few whole numbers. [] if there
    are no labels."""
    if not len(labels):
        return []
    lowest, highest = float(labels.min()), float(labels.max())
    if highest - lowest >= MOST_COUNTED or (labels != np.floor(labels)).any():
        return [(lowest, highest, None)]
    counts = np.bincount((labels - lowest).astype(np.int64))
    return [(lowest, highest, {lowest + step: int(count) for step, count in enumerate(counts) if count})]


def _name(label: float, classes: Sequence[str]) -> str:
    return classes[int(label)] if classes else f"{label:g}"
