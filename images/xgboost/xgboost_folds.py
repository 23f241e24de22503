"""Cross-validation, as the hosted algorithm does it for `_kfold` and `_num_cv_round`.

The rows of both channels are split into folds, by class for classifiers, and a model is trained for each fold on the
others. All models are kept, as xgboost-model-0 and so on; the server answers with their average. predictions.csv in
output/data holds what was predicted for each row by the models that did not learn from it.

The hosted algorithm splits the rows of each host alone, and prints metrics of whole channels, most rows of which the
model has learned from. Here all hosts' rows are split, so that N hosts have the folds of one, and the metrics called
validation are of the fold left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse, vstack
from toolkit.data import Table
from toolkit.errors import ClientError
from toolkit.lean_xgboost import xgboost
from toolkit.rows import FloatArray
from toolkit.training import Job
from xgboost_boosting import boost
from xgboost_files import FILE_NAME
from xgboost_rounds import Log, line_of
from xgboost_rows import matrix_of
from xgboost_settings import Hyperparameters

PREDICTIONS = "predictions.csv"
Rows = NDArray[np.bool_]


def train_folds(job: Job[Hyperparameters], tables: Mapping[str, Table]) -> None:
    settings, rows = job.hyperparameters, _joined(list(tables.values()))
    first, _ = job.hosts.numbered(len(rows.labels))
    labels = job.hosts.gathered(rows.labels)
    guesses = np.zeros((len(labels), settings.repeats, 2))
    logs: list[Log] = []
    for number, left_out in enumerate(_folds(settings, labels)):
        own = left_out[first : first + len(rows.labels)]
        if job.hosts.is_master:
            print(f"fold {number % settings.folds + 1} of {settings.folds}", flush=True)
        booster, log = boost(job, {"train": _part(rows, ~own), "validation": _part(rows, own)})
        if job.hosts.is_master:
            (job.model_folder / f"{FILE_NAME}-{number}").write_bytes(booster.save_raw("ubj"))
        predicted = _predictions(settings, booster, _part(rows, own))
        guesses[left_out, number // settings.folds] = job.hosts.gathered(predicted)
        logs.append(log)
        if job.hosts.any(job.stop.requested):
            print("stopped: no predictions of all rows are kept", flush=True)
            return
        if len(logs) % settings.folds == 0:
            _print_means(job, logs[-settings.folds :])
    if settings.repeats > 1:
        _print_means(job, logs)
    if job.hosts.is_master:
        columns = _columns(settings, labels, guesses)
        np.savetxt(job.output_folder / PREDICTIONS, columns, delimiter=",", fmt="%f")


def _folds(settings: Hyperparameters, labels: FloatArray) -> Iterator[Rows]:
    """Which of all rows are left out in each fold, of each repetition. Raises ClientError."""
    from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

    kind = RepeatedStratifiedKFold if settings.is_classifier else RepeatedKFold
    splits = kind(n_splits=settings.folds, n_repeats=settings.repeats, random_state=settings.seed or 0)
    try:
        parts = [part for _, part in splits.split(labels, labels if settings.is_classifier else None)]
    except ValueError as error:
        raise ClientError(f"hyperparameters: _kfold={settings.folds} does not fit the rows: {error}") from None
    for part in parts:
        left_out = np.zeros(len(labels), bool)
        left_out[part] = True
        yield left_out


def _joined(tables: list[Table]) -> Table:
    """The rows of all channels; of those without weights each counts as 1."""
    features: list[Any] = [table.features for table in tables]
    is_sparse = any(map(issparse, features))
    has_weights = any(table.weights is not None for table in tables)
    weights = [np.ones(len(table.labels)) if table.weights is None else table.weights for table in tables]
    return replace(
        tables[0],
        labels=np.concatenate([table.labels for table in tables]),
        features=vstack([_stored(rows) for rows in features], "csr") if is_sparse else np.concatenate(features),
        weights=np.concatenate(weights) if has_weights else None,
    )


def _stored(rows: Any) -> Any:
    """Sparse rows as they are; dense ones with an entry for each number, 0 too: what is left out is missing."""
    if issparse(rows):
        return rows
    count, width = rows.shape
    columns = np.tile(np.arange(width), count)
    return csr_array((rows.ravel(), columns, np.arange(count + 1) * width), shape=rows.shape)


def _part(table: Table, rows: Rows) -> Table:
    weights = None if table.weights is None else table.weights[rows]
    return replace(table, labels=table.labels[rows], features=table.features[rows], weights=weights)


def _predictions(settings: Hyperparameters, booster: xgboost.Booster, table: Table) -> FloatArray:
    """Two columns: what is predicted, which for a classifier is a chance, and the class.

    As hosted, it is the chance of label 1 where there are two classes, and else of the class that is predicted.
    """
    matrix = matrix_of(settings, table)
    if not settings.is_classifier:
        return np.column_stack([booster.predict(matrix)] * 2).astype(np.float64)
    margins = booster.predict(matrix, output_margin=True).astype(np.float64)
    if margins.ndim == 1:
        chance = (margins > 0).astype(float) if settings.objective == "binary:hinge" else 1 / (1 + np.exp(-margins))
        return np.column_stack([chance, chance > 0.5])
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.column_stack([powers.max(axis=1) / powers.sum(axis=1), margins.argmax(axis=1)])


def _columns(settings: Hyperparameters, labels: FloatArray, guesses: FloatArray) -> FloatArray:
    """Label, mean prediction, and for classifiers the class that was predicted most often, the smallest of several."""
    columns = [labels, guesses[:, :, 0].mean(axis=1)]
    if settings.is_classifier:
        classes = np.arange(settings.num_class or 2)
        columns.append((guesses[:, :, 1, np.newaxis] == classes).sum(axis=1).argmax(axis=1))
    return np.column_stack(columns)


def _print_means(job: Job[Hyperparameters], logs: list[Log]) -> None:
    """A line as of a round, with the mean over the folds of each metric of the models that are kept."""
    if job.hosts.is_master:
        means = {
            channel: {metric: float(np.mean([log[channel][metric][-1] for log in logs])) for metric in of_channel}
            for channel, of_channel in logs[0].items()
        }
        print(line_of(job.hyperparameters.num_round, means), flush=True)
