"""The losses of linear-learner: margins and labels to loss a row, and its slope by margin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from linear_model import sigmoid, softmax
from toolkit.rows import FloatArray

# Margins have shape (rows, outputs), labels (rows,); losses (rows,), slopes as the margins.
Loss: TypeAlias = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


def choose(predictor_type: str, name: str, huber_delta: float) -> Loss:
    if predictor_type == "binary_classifier":
        return logistic
    if predictor_type == "multiclass_classifier":
        return cross_entropy
    return partial(huber, delta=huber_delta) if name == "huber_loss" else squared


def logistic(margins: FloatArray, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
    margin = margins[:, 0]
    return np.logaddexp(0.0, margin) - labels * margin, (sigmoid(margin) - labels)[:, np.newaxis]


def cross_entropy(margins: FloatArray, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
    rows, classes = np.arange(len(labels)), labels.astype(int)
    slopes = softmax(margins)
    losses = np.logaddexp.reduce(margins, axis=1) - margins[rows, classes]
    slopes[rows, classes] -= 1.0
    return losses, slopes


def squared(margins: FloatArray, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
    errors = margins[:, 0] - labels
    return errors**2, 2.0 * errors[:, np.newaxis]


def huber(margins: FloatArray, labels: FloatArray, *, delta: float) -> tuple[FloatArray, FloatArray]:
    errors = margins[:, 0] - labels
    slopes = np.clip(errors, -delta, delta)
    return slopes * (errors - 0.5 * slopes), slopes[:, np.newaxis]
