"""Ground truth as lines, in the form that SageMaker's Model Monitor merges. Pure.

{"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "<id>"}, "eventVersion": "0"}
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sagespec.errors import Problem

MOST_TOLD = 10  # wrong lines


class Truth(NamedTuple):
    """id: of the prediction, as the caller gave it in InferenceId. value: the number in `data`."""

    id: str
    value: float


def truths_of(text: str, *, least: float, most: float) -> tuple[list[Truth], list[Problem]]:
    """Of every line, and what is wrong with the others. least, most: between which a reward lies."""
    found, wrong = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        truth = _truth(line)
        if isinstance(truth, str):
            wrong.append(Problem(truth, f"line {number}"))
        elif not least <= truth.value <= most:
            what = f"the reward {truth.value:g} is not between {least:g} and {most:g}"
            fix = "give compare.reward of the endpoint's spec the range of the rewards"
            wrong.append(Problem(what, f"line {number}", fix=fix))
        else:
            found.append(truth)
    return found, wrong


def told(wrong: Sequence[Problem]) -> tuple[Problem, ...]:
    more = len(wrong) - MOST_TOLD
    rest = (Problem(f"and {more} more lines are wrong"),) if more > 0 else ()
    return (*wrong[:MOST_TOLD], *rest)


def _truth(line: str) -> Truth | str:
    """What is wrong where it is none."""
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return "is not JSON"
    match value:
        case {"groundTruthData": {"data": data}, "eventMetadata": {"eventId": str(one)}} if one:
            number = _number(data)
            return f"its data {str(data)[:40]!r} is not a number" if number is None else Truth(one, number)
    return "has no groundTruthData.data, or no eventMetadata.eventId"


def _number(data: Any) -> float | None:
    """Of `data`, which is a text in SageMaker's files."""
    try:
        number = float(data) if isinstance(data, str | int | float) and not isinstance(data, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
