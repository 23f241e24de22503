"""The losses of linear-learner: margins and labels to loss a row, and its slope and curvature by margin.

Losses with a kink (hinge, absolute, quantile) turn into a parabola over the `SMOOTHED` around it, so
that a solver that follows slopes finds their minimum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from toolkit.probabilities import sigmoid, softmax
from toolkit.rows import FloatArray

SMOOTHED = 0.01  # in units of the margin, for a regressor with normalised labels their deviation


class Losses(NamedTuple):
    """`values` and `curvatures` of shape (rows,), `slopes` as the margins: (rows, outputs)."""

    values: FloatArray
    slopes: FloatArray
    curvatures: FloatArray


Loss: TypeAlias = Callable[[FloatArray, FloatArray], Losses]


@dataclass(frozen=True)
class Shape:
    """The numbers that give a loss its shape; each loss takes those that it has."""

    huber_delta: float
    quantile: float
    insensitivity: float
    margin: float


FITTING: Mapping[str, tuple[str, ...]] = {
    "binary_classifier": ("logistic", "hinge_loss"),
    "multiclass_classifier": ("softmax_loss",),
    "regressor": (
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
}
# Their slope bends so suddenly that L-BFGS stops short of the minimum.
BENT = (
    "hinge_loss",
    "absolute_loss",
    "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss",
    "quantile_loss",
    "huber_loss",
)


def choose(name: str, shape: Shape) -> Loss:
    losses: Mapping[str, Loss] = {
        "logistic": logistic,
        "hinge_loss": partial(hinge, margin=shape.margin),
        "softmax_loss": cross_entropy,
        "squared_loss": squared,
        "absolute_loss": partial(insensitive, insensitivity=0.0),
        "eps_insensitive_squared_loss": partial(insensitive_squared, insensitivity=shape.insensitivity),
        "eps_insensitive_absolute_loss": partial(insensitive, insensitivity=shape.insensitivity),
        "quantile_loss": partial(pinball, quantile=shape.quantile),
        "huber_loss": partial(huber, delta=shape.huber_delta),
    }
    return losses[name]


def logistic(margins: FloatArray, labels: FloatArray) -> Losses:
    margin = margins[:, 0]
    chances = sigmoid(margin)
    return Losses(
        np.logaddexp(0.0, margin) - labels * margin, (chances - labels)[:, np.newaxis], chances * (1.0 - chances)
    )


def hinge(margins: FloatArray, labels: FloatArray, *, margin: float) -> Losses:
    sides = 2.0 * labels - 1.0
    ramp = _ramp(margin - sides * margins[:, 0])
    return Losses(ramp.values, -sides[:, np.newaxis] * ramp.slopes, ramp.curvatures)


def cross_entropy(margins: FloatArray, labels: FloatArray) -> Losses:
    """Its curvature by one margin alone says little, and is left out (0)."""
    rows, classes = np.arange(len(labels)), labels.astype(int)
    slopes = softmax(margins)
    losses = np.logaddexp.reduce(margins, axis=1) - margins[rows, classes]
    slopes[rows, classes] -= 1.0
    return Losses(losses, slopes, np.zeros(len(labels)))


def squared(margins: FloatArray, labels: FloatArray) -> Losses:
    errors = margins[:, 0] - labels
    return Losses(errors**2, 2.0 * errors[:, np.newaxis], np.full(len(labels), 2.0))


def huber(margins: FloatArray, labels: FloatArray, *, delta: float) -> Losses:
    errors = margins[:, 0] - labels
    slopes = np.clip(errors, -delta, delta)
    return Losses(slopes * (errors - 0.5 * slopes), slopes[:, np.newaxis], np.where(np.abs(errors) < delta, 1.0, 0.0))


def insensitive(margins: FloatArray, labels: FloatArray, *, insensitivity: float) -> Losses:
    errors = margins[:, 0] - labels
    ramp = _ramp(np.abs(errors) - insensitivity)
    return Losses(ramp.values, np.sign(errors)[:, np.newaxis] * ramp.slopes, ramp.curvatures)


def insensitive_squared(margins: FloatArray, labels: FloatArray, *, insensitivity: float) -> Losses:
    errors = margins[:, 0] - labels
    excess = np.maximum(np.abs(errors) - insensitivity, 0.0)
    return Losses(excess**2, (2.0 * np.sign(errors) * excess)[:, np.newaxis], np.where(excess > 0, 2.0, 0.0))


def pinball(margins: FloatArray, labels: FloatArray, *, quantile: float) -> Losses:
    """Predictions below the label cost `quantile` a unit, those above it 1 - `quantile`."""
    errors = margins[:, 0] - labels
    prices = np.where(errors < 0, quantile, 1.0 - quantile)
    ramp = _ramp(np.abs(errors))
    return Losses(
        prices * ramp.values, (prices * np.sign(errors))[:, np.newaxis] * ramp.slopes, prices * ramp.curvatures
    )


def _ramp(excess: FloatArray) -> Losses:
    """max(0, excess), with a parabola from 0 to SMOOTHED instead of the kink."""
    slopes = np.clip(excess / SMOOTHED, 0.0, 1.0)
    values = slopes * (excess - 0.5 * SMOOTHED * slopes)
    return Losses(values, slopes[:, np.newaxis], np.where((excess >= 0) & (excess < SMOOTHED), 1.0 / SMOOTHED, 0.0))
