"""Rows of linear-learner brought to mean 0 and deviation 1 for training, and the model brought back to raw rows.

Sparse rows are divided by the deviations only: to shift them would fill them. Their shift is taken off what they are
multiplied to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from linear_settings import Hyperparameters
from toolkit.data import Table
from toolkit.hosts import Hosts
from toolkit.moments import moments_of
from toolkit.rows import FloatArray
from toolkit.sparse import Rows

BLOCK_NUMBERS = 2**22


@dataclass(frozen=True)
class Scaled:
    """Labels, and the rows `stored` less `shift`, of shape (features,); None: they are shifted already."""

    labels: FloatArray
    stored: Rows
    shift: FloatArray | None = None

    @property
    def feature_count(self) -> int:
        count: int = self.stored.shape[1]
        return count

    def times(self, weights: FloatArray) -> FloatArray:
        """Shape (rows, outputs), for weights of shape (features, outputs)."""
        product: FloatArray = self.stored @ weights
        return product if self.shift is None else product - self.shift @ weights

    def transposed_times(self, slopes: FloatArray) -> FloatArray:
        """Shape (features, outputs), for slopes of shape (rows, outputs)."""
        product: FloatArray = self.stored.T @ slopes
        return product if self.shift is None else product - np.outer(self.shift, slopes.sum(axis=0))

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Dense rows, some at a time if they are sparse, and which they are."""
        if isinstance(self.stored, np.ndarray):
            yield slice(None), self.stored
            return
        size = max(1, BLOCK_NUMBERS // self.feature_count)
        for start in range(0, self.stored.shape[0], size):
            own = slice(start, start + size)
            yield own, self.stored[own].toarray() - (0.0 if self.shift is None else self.shift)


@dataclass(frozen=True)
class Scaling:
    """The linear map between raw rows and rows of mean 0 and deviation 1."""

    means: FloatArray
    deviations: FloatArray
    label_mean: float
    label_deviation: float

    @classmethod
    def of(cls, hosts: Hosts, table: Table, settings: Hyperparameters) -> Scaling:
        means, deviations = _means_and_deviations(hosts, table.features)
        label_means, label_deviations = _means_and_deviations(hosts, table.labels[:, np.newaxis])
        if settings.normalize_data is False:
            means, deviations = np.zeros_like(means), np.ones_like(deviations)
        if settings.predictor_type != "regressor" or settings.normalize_label is False:
            label_means, label_deviations = np.zeros(1), np.ones(1)
        if not settings.use_bias:  # shifting would smuggle the intercept in
            means, label_means = np.zeros_like(means), np.zeros(1)
        return cls(means, deviations, float(label_means[0]), float(label_deviations[0]))

    def scaled(self, table: Table) -> Scaled:
        labels = (table.labels - self.label_mean) / self.label_deviation
        if isinstance(table.features, np.ndarray):
            return Scaled(labels, (table.features - self.means) / self.deviations)
        stored = table.features.copy()
        stored.data /= self.deviations[stored.indices]
        return Scaled(labels, stored, self.means / self.deviations)

    def unscaled(self, weights: FloatArray, biases: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights and biases that give for raw rows what these give for scaled rows."""
        weights = weights * self.label_deviation / self.deviations[:, np.newaxis]
        biases = biases * self.label_deviation + self.label_mean
        return weights, biases - self.means @ weights


def _means_and_deviations(hosts: Hosts, columns: Rows) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of each column over all hosts; a constant column has its own size, or 1, as the deviation.

    By 1 alone, what rounding leaves of a large constant after its mean is taken would be larger than all else.
    """
    means, variances = moments_of(hosts, columns)
    deviations = np.sqrt(variances)
    constant = deviations <= 1e-12 * np.abs(means)
    return means, np.where(constant, np.maximum(1.0, np.abs(means)), deviations)
