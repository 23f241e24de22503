"""The rows of a channel as XGBoost takes them, and whether their labels fit the objective."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from toolkit.data import Table
from toolkit.errors import ClientError
from toolkit.lean_xgboost import xgboost
from toolkit.read_note import add_note
from toolkit.reading import LabelRule
from toolkit.rows import FloatArray
from toolkit.training import Job
from xgboost_settings import Hyperparameters


def label_rule(settings: Hyperparameters) -> LabelRule:
    """Which labels fit the objective."""

    def first_misfit(labels: FloatArray) -> tuple[int, str, str] | None:
        fits, rule = _fitting(settings, labels)
        if fits.all():
            return None
        row = int(np.argmin(fits))
        why = f"label {labels[row]:g} does not fit {settings.objective}, it must be {rule}"
        return row, why, _fix(settings, labels)

    return first_misfit


def check_rows(job: Job[Hyperparameters], tables: Mapping[str, Table]) -> None:
    """Raises ClientError on all hosts for labels that do not fit the objective, and for weights that count nothing."""
    hosts, rule = job.hosts, label_rule(job.hyperparameters)
    found = {name: misfit for name, table in tables.items() if (misfit := rule(table.labels))}
    classes = np.unique(hosts.gathered(np.unique(tables["train"].labels)))
    if job.hyperparameters.objective.startswith("multi:") and job.hyperparameters.num_class is None:
        raise ClientError(
            f"hyperparameters: num_class is required for {job.hyperparameters.objective}{_counted(classes)}"
        )
    hosts.fail_together(next((f"channel {name}: {why}{fix}" for name, (_, why, fix) in found.items()), None))
    for name, table in tables.items():
        total = hosts.sum(np.array([0.0 if table.weights is None else table.weights.sum()]))[0]
        if not total and hosts.any(table.weights is not None and len(table.weights) > 0):
            raise ClientError(f"channel {name}: the weights of all rows are 0, so there is nothing to learn from")
    if job.hyperparameters.is_classifier and len(classes) == 1:
        add_note(job, "train", f"all labels of channel train are {classes[0]:g}: there is nothing to tell apart")


def _counted(classes: FloatArray) -> str:
    """How many there are in the data.

    >>> _counted(np.array([0.0, 2.0])), _counted(np.array([0.5]))
    ('; labels of channel train go from 0 to 2: num_class: 3', '')
    """
    if not len(classes) or classes[0] < 0 or (classes != np.floor(classes)).any():
        return ""
    return f"; labels of channel train go from {classes[0]:g} to {classes[-1]:g}: num_class: {classes[-1] + 1:g}"


def _fitting(settings: Hyperparameters, labels: FloatArray) -> tuple[NDArray[np.bool_], str]:
    """Which of the labels fit, and what all must be."""
    objective = settings.objective
    if settings.num_class:
        fits = np.isin(labels, np.arange(settings.num_class))
        return fits, f"a whole number from 0 to {settings.num_class - 1}"
    if objective.startswith("binary:") or objective == "reg:logistic":
        return (labels >= 0) & (labels <= 1), "from 0 to 1"
    if objective in ("count:poisson", "reg:tweedie"):
        return labels >= 0, "0 or more"
    if objective == "reg:gamma":
        return labels > 0, "above 0"
    if objective == "reg:squaredlogerror":
        return labels > -1, "above -1"
    if objective == "survival:aft":
        return labels != 0, "a time, above 0; or below 0, if at that time it had not happened yet"
    return np.ones(len(labels), bool), ""


def _fix(settings: Hyperparameters, labels: FloatArray) -> str:
    if settings.is_classifier and np.isin(labels, (-1, 1)).all():
        return "; write 0 for -1"
    if settings.num_class and np.isin(labels, np.arange(1, settings.num_class + 1)).all():
        return "; count the classes from 0"
    return ""


def matrix_of(settings: Hyperparameters, table: Table) -> xgboost.DMatrix:
    matrix = xgboost.DMatrix(table.features, label=table.labels, weight=table.weights)
    if settings.objective == "survival:aft":
        times = np.abs(table.labels)
        matrix.set_info(
            label=times, label_lower_bound=times, label_upper_bound=np.where(table.labels < 0, np.inf, times)
        )
    return matrix
