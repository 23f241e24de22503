"""What linear-learner prints about a model, named as the hosted algorithm names it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from toolkit.rows import FloatArray


def epoch_line(epoch: int, losses: Mapping[str, float]) -> str:
    return "\n".join(
        f"#quality_metric: epoch={epoch}, {channel} objective_loss={loss:.9g}" for channel, loss in losses.items()
    )


def report(channel: str, predictor_type: str, labels: FloatArray, margins: FloatArray) -> None:
    """Print every metric of the finished model that is defined on these rows."""
    for name, value in metrics(predictor_type, labels, margins).items():
        if math.isfinite(value):
            print(f"#quality_metric: {channel} {name}={value:.9g}", flush=True)


def metrics(predictor_type: str, labels: FloatArray, margins: FloatArray) -> dict[str, float]:
    if predictor_type == "regressor":
        errors = margins[:, 0] - labels
        return {
            "mse": float(np.mean(errors**2)),
            "rmse": float(np.sqrt(np.mean(errors**2))),
            "mae": float(np.mean(np.abs(errors))),
            "r2": _ratio(float(np.var(labels) - np.mean(errors**2)), float(np.var(labels))),
        }
    if predictor_type == "multiclass_classifier":
        return {"multiclass_accuracy": float(np.mean(margins.argmax(axis=1) == labels))}
    chosen, positive = margins[:, 0] > 0, labels == 1
    hits = float(np.sum(chosen & positive))
    precision, recall = _ratio(hits, float(np.sum(chosen))), _ratio(hits, float(np.sum(positive)))
    return {
        "binary_classification_accuracy": float(np.mean(chosen == positive)),
        "precision": precision,
        "recall": recall,
        "binary_f_beta": _ratio(2 * precision * recall, precision + recall),
        "roc_auc_score": roc_auc(positive, margins[:, 0]),
    }


def roc_auc(positive: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: FloatArray) -> float:
    """The chance that a positive row scores above a negative one, ties counting half; NaN for one class only."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives = int(positive.sum())
    pairs = positives * (len(scores) - positives)
    return _ratio(float(ranks[positive].sum()) - positives * (positives + 1) / 2, pairs)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
