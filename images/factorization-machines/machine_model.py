"""The model of factorization-machines as it is served: a bias, weights and factors in one numpy file.

Only features that training has met are kept; all others count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.probabilities import sigmoid
from toolkit.rows import FloatArray
from toolkit.sparse import Rows

FILE_NAME = "factorization-machine.npz"


@dataclass(frozen=True)
class Machine:
    """bias + weights·x + the sum over pairs of features of their factors' product times both values.

    weights (kept,) and factors (kept, num_factors) are those of `columns`, of feature_dim in all.
    """

    is_classifier: bool
    feature_dim: int
    columns: NDArray[np.int64]
    bias: float
    weights: FloatArray
    factors: FloatArray

    @classmethod
    def load(cls, folder: Path) -> Machine:
        return cls(**arrays.load(folder / FILE_NAME))

    def save(self, folder: Path) -> None:
        arrays.save_fields(folder / FILE_NAME, self)

    def margins(self, rows: Rows) -> FloatArray:
        """For rows of the kept features, shape (rows,)."""
        return margins(rows, squares(rows), self.bias, self.weights, self.factors)[0]


def squares(rows: Rows) -> Rows:
    return np.square(rows) if isinstance(rows, np.ndarray) else rows.power(2)


def margins(
    rows: Rows, row_squares: Rows, bias: float, weights: FloatArray, factors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Margins, and the rows' sums of factors (rows, num_factors).

    Pairs are summed in linear time, by Rendle, "Factorization Machines" (ICDM 2010), lemma 3.1.
    """
    sums = rows @ factors
    pairs = 0.5 * (np.square(sums).sum(axis=1) - row_squares @ np.square(factors).sum(axis=1))
    return bias + rows @ weights + pairs, sums


class FactorizationMachine(Model):
    """`score`, and for binary_classifier `predicted_label`, as the hosted algorithm answers."""

    absent = None

    def __init__(self, folder: Path) -> None:
        self.machine = Machine.load(folder)
        self.feature_count = self.machine.feature_dim
        self.keeps_all = len(self.machine.columns) == self.feature_count

    def predict(self, rows: Rows, request: Request) -> Prediction:  # noqa: ARG002
        scores = self.machine.margins(rows if self.keeps_all else rows[:, self.machine.columns])
        if not self.machine.is_classifier:
            return {"score": scores}
        return {"score": sigmoid(scores), "predicted_label": (scores > 0).view(np.int8)}
