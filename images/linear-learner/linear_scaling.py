"""Rows of linear-learner brought to mean 0 and deviation 1 for training, and the model brought back to raw rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from linear_settings import Hyperparameters
from toolkit.data import Table
from toolkit.hosts import Hosts
from toolkit.moments import moments_of
from toolkit.rows import FloatArray


@dataclass(frozen=True)
class Scaling:
    """The linear map between raw rows and rows of mean 0 and deviation 1."""

    means: FloatArray
    deviations: FloatArray
    label_mean: float
    label_deviation: float

    @classmethod
    def of(cls, hosts: Hosts, table: Table, settings: Hyperparameters) -> Scaling:
        is_regressor = settings.predictor_type == "regressor"
        columns = np.column_stack([table.features, table.labels])
        means, deviations = _means_and_deviations(hosts, columns)
        if settings.normalize_data is False:
            means[:-1], deviations[:-1] = 0.0, 1.0
        if not settings.use_bias:
            means[:] = 0.0  # shifting would smuggle the intercept in
        if not is_regressor or settings.normalize_label is False:
            means[-1], deviations[-1] = 0.0, 1.0
        return cls(means[:-1], deviations[:-1], float(means[-1]), float(deviations[-1]))

    def scaled(self, table: Table) -> Table:
        return Table(
            (table.labels - self.label_mean) / self.label_deviation, (table.features - self.means) / self.deviations
        )

    def unscaled(self, weights: FloatArray, biases: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights and biases that give for raw rows what these give for scaled rows."""
        weights = weights * self.label_deviation / self.deviations[:, np.newaxis]
        biases = biases * self.label_deviation + self.label_mean
        return weights, biases - self.means @ weights


def _means_and_deviations(hosts: Hosts, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of each column over all hosts; the deviation of a constant column is 1."""
    means, variances = moments_of(hosts, columns)
    deviations = np.sqrt(variances)
    constant = deviations <= 1e-12 * np.abs(means)
    return means, np.where(constant, 1.0, deviations)
