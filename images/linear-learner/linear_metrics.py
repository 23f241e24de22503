"""What linear-learner prints about a model, named as the hosted algorithm names it, and its threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from toolkit.rows import FloatArray

AT_ZERO = ("accuracy", "loss_function")  # criteria of the threshold 0, where both classes are as likely
UNDEFINED = {  # when a metric has no value
    "precision": "no row is predicted to be 1",
    "recall": "no row has label 1",
    "binary_f_beta": "no row with label 1 is predicted to be 1",
    "roc_auc_score": "all rows have the same label",
    "r2": "all rows have the same label",
}


@dataclass(frozen=True)
class Measures:
    """What is measured: of a binary classifier with margins above `threshold` taken for 1."""

    predictor_type: str
    threshold: float = 0.0
    beta: float = 1.0  # of F: how much more recall counts than precision
    top_k: int = 3


def epoch_line(epoch: int, losses: Mapping[str, float]) -> str:
    return "\n".join(
        f"#quality_metric: epoch={epoch}, {channel} objective_loss={loss:.9g}" for channel, loss in losses.items()
    )


def report(channel: str, values: Mapping[str, float]) -> None:
    """Print the finished model's metrics, and say which are not defined on these rows."""
    for name, value in values.items():
        if math.isnan(value):
            print(f"{channel}: {name} is not computed: {UNDEFINED[name]}", flush=True)
        else:
            print(f"#quality_metric: {channel} {name}={value:.9g}", flush=True)


def metrics(measures: Measures, labels: FloatArray, margins: FloatArray) -> dict[str, float]:
    """By name; NaN for one that is not defined on these rows."""
    if measures.predictor_type == "regressor":
        return _of_regressor(labels, margins[:, 0])
    if measures.predictor_type == "multiclass_classifier":
        return _of_multiclass(measures, labels, margins)
    chosen, positive = margins[:, 0] > measures.threshold, labels == 1
    precision, recall = _precision_and_recall(chosen, positive)
    return {
        "binary_classification_accuracy": float(np.mean(chosen == positive)),
        "precision": precision,
        "recall": recall,
        "binary_f_beta": f_beta(precision, recall, measures.beta),
        "roc_auc_score": roc_auc(positive, margins[:, 0]),
    }


def _of_regressor(labels: FloatArray, predicted: FloatArray) -> dict[str, float]:
    errors = predicted - labels
    return {
        "mse": float(np.mean(errors**2)),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
        "r2": _ratio(float(np.var(labels) - np.mean(errors**2)), float(np.var(labels))),
    }


def _of_multiclass(measures: Measures, labels: FloatArray, margins: FloatArray) -> dict[str, float]:
    chosen = margins.argmax(axis=1)
    above = (margins > margins[np.arange(len(labels)), labels.astype(int), np.newaxis]).sum(axis=1)
    by_class = [_precision_and_recall(chosen == number, labels == number) for number in np.unique(labels)]
    scores = [f_beta(precision, recall, measures.beta) for precision, recall in by_class]
    return {
        "multiclass_accuracy": float(np.mean(chosen == labels)),
        "multiclass_top_k_accuracy": float(np.mean(above < measures.top_k)),
        "macro_f_beta": float(np.mean(np.nan_to_num(scores))),
    }


def calibrated(criterion: str, target: float, beta: float, labels: FloatArray, margins: FloatArray) -> float:
    """The threshold between two margins at which the criterion is best; as the hosted algorithm names criteria.

    `target` is the recall or precision to be met; where none does, the nearest is taken. For
    accuracy and loss_function it is 0, the margin at which both classes are as likely.
    """
    if criterion in AT_ZERO:
        return 0.0
    values, places = np.unique(margins[:, 0], return_inverse=True)
    counts, positives = np.bincount(places), np.bincount(places, labels == 1)
    hits = positives[::-1].cumsum()[::-1]  # at the threshold just below each value
    precision, recall = hits / counts[::-1].cumsum()[::-1], hits / max(positives.sum(), 1.0)
    if criterion == "f_beta":
        merits = (1 + beta**2) * precision * recall / np.maximum(beta**2 * precision + recall, 1e-300)
    elif criterion == "precision_at_target_recall":
        merits = np.where(recall >= target, 1.0 + precision, recall)
    else:
        merits = np.where(precision >= target, 1.0 + recall, precision)
    best = int(merits.argmax())
    return float((values[best] + values[best - 1]) / 2) if best else float(values[0] - 1.0)


def f_beta(precision: float, recall: float, beta: float) -> float:
    return _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)


def _precision_and_recall(chosen: NDArray[np.bool_], positive: NDArray[np.bool_]) -> tuple[float, float]:
    hits = float(np.sum(chosen & positive))
    return _ratio(hits, float(np.sum(chosen))), _ratio(hits, float(np.sum(positive)))


def roc_auc(positive: NDArray[np.bool_], scores: FloatArray) -> float:
    """The chance that a positive row scores above a negative one, ties counting half; NaN for one class only."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives = int(positive.sum())
    pairs = positives * (len(scores) - positives)
    return _ratio(float(ranks[positive].sum()) - positives * (positives + 1) / 2, pairs)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
