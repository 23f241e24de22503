"""What lightgbm makes of the labels: the objective, where it chooses, and whether labels fit it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from toolkit.data import Table
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.reading import LabelRule
from toolkit.rows import FloatArray

MOST_CLASSES = 1000
MOST_SHOWN = 5  # labels in a message
LARGEST_LABEL = 1e38  # LightGBM silently takes larger ones for this
OF_TWO_CLASSES = ("auc", "average_precision", "auc_mu")  # metrics of how well rows of different classes are parted


def objective_of(hosts: Hosts, asked: str, num_class: int | None, labels: FloatArray) -> tuple[str, int]:
    """LightGBM's objective and the number of classes, 1 where there are none. Says what it chose."""
    if asked not in ("auto", "multiclass"):
        return asked, 1
    if num_class:
        return "multiclass", num_class
    found = np.unique(hosts.gathered(np.unique(labels)))
    if asked == "multiclass":
        return "multiclass", _classes(found)
    objective, class_count, why = _chosen(found)
    if hosts.is_master:
        print(f"objective: {objective}, chosen by auto as {why}", flush=True)
    return objective, class_count


def _classes(found: FloatArray) -> int:
    """How many classes there are if labels go up to the largest; wrong labels are refused later."""
    largest = found.max()
    if largest == 0:
        raise ClientError("channel train: all labels are 0, but multiclass needs more classes; set num_class")
    return int(min(largest, MOST_CLASSES)) + 1


def _chosen(found: FloatArray) -> tuple[str, int, str]:
    """Objective, number of classes and the reason, for the different labels there are."""
    count, shown = len(found), _shown(found)
    if count == 1:
        return "regression", 1, f"all labels are {shown}"
    if count <= MOST_CLASSES and np.array_equal(found, np.arange(count)):
        return ("binary", 1, "labels are 0 and 1") if count == 2 else ("multiclass", count, f"labels are {shown}")
    if not np.array_equal(found, np.floor(found)):
        return "regression", 1, "labels are not whole numbers"
    if count == 2:
        raise ClientError(
            f"channel train: labels are {shown}, which objective=auto takes neither for classes nor for quantities; "
            "for two classes write 0 and 1, for quantities set objective: regression"
        )
    return "regression", 1, f"labels are {shown}; to have classes, number them from 0 without gaps"


def _shown(found: FloatArray) -> str:
    words = [f"{label:g}" for label in found[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        return ", ".join([*words[:-1], "…", f"{found[-1]:g}"])
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def check_labels(hosts: Hosts, tables: Mapping[str, Table], objective: str, class_count: int) -> None:
    """Raise ClientError on all hosts for labels that do not fit."""
    problem = None
    for name, table in tables.items():
        why = _misfit(table.labels, objective, class_count)
        problem = f"channel {name}: {why}" if why else problem
    hosts.fail_together(problem)
    if objective in ("poisson", "tweedie") and not hosts.sum(tables["train"].labels.sum(keepdims=True))[0]:
        raise ClientError(f"channel train: all labels are 0, but {objective} needs some above")


def label_rule(objective: str, num_class: int | None) -> LabelRule | None:
    """Which labels fit, as far as the settings say; None if all do."""
    class_count = 2 if objective == "binary" else num_class
    if not class_count:
        return None

    def first_misfit(labels: FloatArray) -> tuple[int, str, str] | None:
        fits = np.isin(labels, np.arange(class_count))
        if fits.all():
            return None
        row = int(np.argmin(fits))
        name = objective if objective == "binary" else "multiclass"
        why = f"label {labels[row]:g} does not fit {name}, it must be from 0 to {class_count - 1}"
        return row, why, "; number the classes from 0 without gaps"

    return first_misfit


def _misfit(labels: FloatArray, objective: str, class_count: int) -> str | None:
    allowed = 2 if objective == "binary" else class_count
    wrong = labels[~np.isin(labels, np.arange(allowed))]
    largest = np.abs(labels).max(initial=0.0)
    if allowed > 1 and len(wrong):
        return (
            f"label {wrong[0]:g} does not fit {objective}, it must be from 0 to {allowed - 1}; "
            "number the classes from 0 without gaps"
        )
    if objective in ("poisson", "tweedie") and (labels < 0).any():
        return f"label {labels.min():g} does not fit {objective}, it must be 0 or more"
    return f"a label of {largest:g}; LightGBM cuts at {LARGEST_LABEL:g}: scale it" if largest > LARGEST_LABEL else None


def cannot_be_computed(hosts: Hosts, metric: str, labels: FloatArray) -> bool:
    """Whether `metric` means nothing for these labels. If so, says it."""
    undefined = metric in OF_TWO_CLASSES and len(np.unique(labels)) < 2
    if undefined and hosts.is_master:
        reason = f"all labels are {labels[0]:g}"
        print(f"validation: {metric} is not computed: {reason}; nothing stops training early", flush=True)
    return undefined
