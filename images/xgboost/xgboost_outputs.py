"""The columns of an answer that `SAGEMAKER_INFERENCE_OUTPUT` can ask for, as the hosted container names them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from toolkit.formats import Prediction

Column: TypeAlias = NDArray[Any]
Columns: TypeAlias = Mapping[str, Callable[[Column], Column]]  # what the booster predicts, to a column


def choose(names: Sequence[str], objective: str, class_count: int) -> Columns:
    """The columns called `names`. Raises ValueError for those that the objective does not give."""
    offered = _offered(objective, class_count)
    unknown = [name for name in names if name not in offered]
    if unknown:
        raise ValueError(
            f"SAGEMAKER_INFERENCE_OUTPUT={','.join(names)}: {objective} does not give {', '.join(unknown)}, "
            f"but {', '.join(offered)}"
        )
    return {name: offered[name] for name in names}


def _offered(objective: str, class_count: int) -> Columns:
    kind, _, name = objective.partition(":")
    if kind not in ("binary", "multi"):
        return {"predicted_score": lambda raw: raw}
    labels = np.arange(class_count)
    if name == "softprob":
        best: Columns = {"probability": _largest, "probabilities": _as_it_is}
        scores: Columns = {"raw_score": _largest, "raw_scores": _as_it_is}
        label: Columns = {"predicted_label": lambda raw: raw.argmax(axis=1)}
    else:
        border = 0.0 if name == "logitraw" else 0.5
        best = {"probability": _as_it_is, "probabilities": _both_sides} if name == "logistic" else {}
        scores = {"raw_score": _as_it_is} | ({"raw_scores": _both_sides} if kind == "binary" else {})
        label = {
            "predicted_label": lambda raw: (raw > border).astype(int) if kind == "binary" else raw.astype(int),
        }
    return {**label, "labels": lambda raw: np.tile(labels, (len(raw), 1)), **best, **scores}


def _as_it_is(raw: Column) -> Column:
    return raw


def _largest(raw: Column) -> Column:
    largest: Column = raw.max(axis=1)
    return largest


def _both_sides(raw: Column) -> Column:
    return np.column_stack([1.0 - raw, raw])


def encode_csv(prediction: Prediction) -> bytes:
    """A line a row; a list is one field in quotes, as Python writes it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(zip(*(c.tolist() for c in prediction.values()), strict=True))
    return text.getvalue().encode()
