"""The rows of a channel as XGBoost takes them, and whether their labels fit the objective."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from toolkit.data import Table
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.lean_xgboost import xgboost
from toolkit.media import CSV, PARQUET
from toolkit.rows import FloatArray
from xgboost_settings import Hyperparameters


def check_rows(hosts: Hosts, settings: Hyperparameters, tables: Mapping[str, Table]) -> None:
    """Raises ClientError on all hosts: for labels that do not fit the objective, and for weights that count nothing."""
    problem = None
    for name, table in tables.items():
        wrong, rule = _wrong_labels(settings, table.labels)
        if len(wrong):
            fix = _fix(settings, table)
            problem = f"channel {name}: label {wrong[0]:g} does not fit {settings.objective}, it must be {rule}{fix}"
    hosts.fail_together(problem)
    for name, table in tables.items():
        total = hosts.sum(np.array([0.0 if table.weights is None else table.weights.sum()]))[0]
        if not total and hosts.any(table.weights is not None and len(table.weights) > 0):
            raise ClientError(f"channel {name}: the weights of all rows are 0, so there is nothing to learn from")


def _wrong_labels(settings: Hyperparameters, labels: FloatArray) -> tuple[FloatArray, str]:
    objective = settings.objective
    if settings.num_class:
        classes = np.arange(settings.num_class)
        return labels[~np.isin(labels, classes)], f"a whole number from 0 to {settings.num_class - 1}"
    if objective.startswith("binary:") or objective == "reg:logistic":
        return labels[(labels < 0) | (labels > 1)], "from 0 to 1"
    if objective in ("count:poisson", "reg:tweedie"):
        return labels[labels < 0], "0 or more"
    if objective == "reg:gamma":
        return labels[labels <= 0], "above 0"
    if objective == "reg:squaredlogerror":
        return labels[labels <= -1], "above -1"
    if objective == "survival:aft":
        return labels[labels == 0], "a time, above 0; or below 0, if at that time it had not happened yet"
    return labels[:0], ""


def _fix(settings: Hyperparameters, table: Table) -> str:
    if settings.is_classifier and np.isin(table.labels, (-1, 1)).all():
        return "; write 0 for -1"
    if settings.num_class and np.isin(table.labels, np.arange(1, settings.num_class + 1)).all():
        return "; count the classes from 0"
    return "; the first column is the label" if table.content_type in (CSV, PARQUET) else ""


def matrix_of(settings: Hyperparameters, table: Table) -> xgboost.DMatrix:
    matrix = xgboost.DMatrix(table.features, label=table.labels, weight=table.weights)
    if settings.objective == "survival:aft":
        times = np.abs(table.labels)
        matrix.set_info(
            label=times, label_lower_bound=times, label_upper_bound=np.where(table.labels < 0, np.inf, times)
        )
    return matrix
