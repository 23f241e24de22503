"""The metrics of the hosted algorithm: XGBoost's own, and those that the hosted container adds to them.

Its additions are counted over all hosts here, so they are those of all rows, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toolkit.errors import ClientError
from toolkit.hosts import Hosts

# A name that ends in @ is followed by a number.
OF_ONE_SCORE = (
    "rmse", "rmsle", "mae", "mape", "mphe", "logloss", "error", "error@", "poisson-nloglik", "gamma-nloglik",
    "gamma-deviance", "tweedie-nloglik", "tweedie-nloglik@", "cox-nloglik", "ndcg", "ndcg@", "map", "map@",
)  # fmt: skip
OF_AFT = ("aft-nloglik", "interval-regression-accuracy")
OF_A_SCORE_PER_CLASS = ("merror", "mlogloss")
OF_BOTH = ("auc", "aucpr")
OF_LABELS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "precision_macro",
    "precision_micro",
    "recall_macro",
    "recall_micro",
)
OF_TWO_LABELS = ("f1_binary", "precision", "recall")
OF_NUMBERS = ("mse", "r2")
OWN = OF_LABELS + OF_TWO_LABELS + OF_NUMBERS
METRICS = OF_ONE_SCORE + OF_AFT + OF_A_SCORE_PER_CLASS + OF_BOTH + OWN
THE_LARGER_THE_BETTER = {*OF_BOTH, *OF_LABELS, *OF_TWO_LABELS, "r2", "ndcg", "map", "interval-regression-accuracy"}

Counts = NDArray[np.int64]  # of rows, by their label and the predicted one
OwnMetric = Callable[[NDArray[Any], Any], list[tuple[str, float]]]


def metrics_asked(eval_metric: Sequence[str], tuned: str | None, variance_power: float | None) -> tuple[str, ...]:
    """What to compute, as XGBoost calls it; the metric of a tuning job, `validation:auc`, comes last."""
    tuning = [tuned.rpartition(":")[2]] if tuned else []
    full = {"tweedie-nloglik": f"tweedie-nloglik@{variance_power or 1.5:g}"}
    names = [full.get(name, name) for name in (*eval_metric, *tuning)]
    return tuple(reversed(dict.fromkeys(reversed(names))))


def check_metrics(names: Sequence[str], objective: str) -> None:
    """Raises ClientError for a metric that cannot be computed of what the objective predicts."""
    for name in names:
        if reason := _misfit(name, objective):
            raise ClientError(f"hyperparameters: eval_metric={name} does not fit {objective}: it is {reason}")


def _misfit(name: str, objective: str) -> str:
    base = name.partition("@")[0]
    kind = objective.partition(":")[0]
    if kind == "multi" and base in (*OF_ONE_SCORE, *OF_NUMBERS):
        return "of one score a row, and there is one per class; take mlogloss, merror, auc or accuracy"
    if kind != "multi" and base in OF_A_SCORE_PER_CLASS:
        return f"of a score per class, and there is one a row; take {'logloss' if base == 'mlogloss' else 'error'}"
    if objective != "survival:aft" and base in OF_AFT:
        return "for survival:aft"
    if kind not in ("binary", "multi") and base in (*OF_LABELS, *OF_TWO_LABELS):
        return "for classes, with binary:* and multi:*; take rmse or mae"
    if kind != "binary" and base in OF_TWO_LABELS:
        return f"for two classes; take {base.partition('_')[0]}_macro"
    return ""


def is_better_when_larger(name: str) -> bool:
    return name.partition("@")[0] in THE_LARGER_THE_BETTER


def own_metrics(names: Sequence[str], hosts: Hosts, class_count: int, border: float) -> OwnMetric | None:
    """What computes those of `names` that XGBoost does not have; None if it has them all.

    class_count: of which the labels are numbers; border: above which a single score means label 1.
    """
    own = [name for name in names if name in OWN]

    def compute(predicted: NDArray[Any], matrix: Any) -> list[tuple[str, float]]:
        labels = matrix.get_label()
        values: dict[str, float] = {}
        if any(name in OF_NUMBERS for name in own):
            values |= _of_numbers(hosts, labels.astype(np.float64), predicted.reshape(-1).astype(np.float64))
        if any(name not in OF_NUMBERS for name in own):
            values |= _of_counts(hosts.sum(_counts(labels, _classes(predicted, class_count, border), class_count)))
        return [(name, values[name]) for name in own]

    return compute if own else None


def _classes(predicted: NDArray[Any], class_count: int, border: float) -> Counts:
    if predicted.ndim > 1:
        best: Counts = predicted.argmax(axis=1)
        return best
    return (predicted > border).astype(np.int64) if class_count == 2 else predicted.astype(np.int64)


def _counts(labels: NDArray[Any], classes: Counts, class_count: int) -> Counts:
    pairs = np.rint(labels).astype(np.int64) * class_count + classes
    return np.bincount(pairs, minlength=class_count**2).reshape(class_count, class_count).astype(np.int64)


def _of_counts(counts: Counts) -> dict[str, float]:
    """As scikit-learn computes them; what would be 0/0 is 0."""
    right, of_label, of_class = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    recall, precision = _ratio(right, of_label), _ratio(right, of_class)
    f1 = _ratio(2 * right, of_label + of_class)
    seen = (of_label + of_class) > 0
    accuracy = float(right.sum() / max(1, counts.sum()))
    return {
        "accuracy": accuracy,
        "balanced_accuracy": float(recall[of_label > 0].mean()),
        "f1": float(f1[seen].mean()),
        "f1_macro": float(f1[seen].mean()),
        "f1_binary": float(f1[1]),
        "precision": float(precision[1]),
        "precision_macro": float(precision[seen].mean()),
        "precision_micro": accuracy,
        "recall": float(recall[1]),
        "recall_macro": float(recall[seen].mean()),
        "recall_micro": accuracy,
    }


def _ratio(above: Counts, below: Counts) -> NDArray[np.float64]:
    return above / np.maximum(below, 1)


def _of_numbers(hosts: Hosts, labels: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    errors = float(np.square(labels - predicted).sum())
    count, total, squares = hosts.sum(np.array([len(labels), labels.sum(), errors]))
    spread = float(hosts.sum(np.array([np.square(labels - total / count).sum()]))[0])
    return {"mse": float(squares / count), "r2": float(1 - squares / spread) if spread else float(not squares)}
