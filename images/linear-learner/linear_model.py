"""The model of linear-learner as it is served: weights and biases in one numpy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.probabilities import sigmoid, softmax
from toolkit.rows import FloatArray
from toolkit.sparse import Rows

FILE_NAME = "linear.npz"


@dataclass(frozen=True)
class Linear:
    """`weights` of shape (features, outputs) and `biases` (outputs,), for raw rows.

    A binary classifier's label is 1 where the margin is above `threshold`. Its score is the probability of that label,
    or the margin itself if the loss gives no probabilities (hinge).
    """

    predictor_type: str
    weights: FloatArray
    biases: FloatArray
    threshold: float = 0.0
    scores_are_chances: bool = True

    def save(self, folder: Path) -> None:
        arrays.save_fields(folder / FILE_NAME, self)

    @classmethod
    def load(cls, folder: Path) -> Linear:
        """Files of the first release lack the last two fields."""
        return cls(**arrays.load(folder / FILE_NAME))


class LinearModel(Model):
    """Scores, and for classifiers the predicted label, as the hosted linear learner answers."""

    absent = None

    def __init__(self, folder: Path) -> None:
        self.linear = Linear.load(folder)
        self.feature_count = self.linear.weights.shape[0]

    def predict(self, rows: Rows, request: Request) -> Prediction:  # noqa: ARG002
        linear = self.linear
        margins = rows.dot(linear.weights) + linear.biases
        if linear.predictor_type == "multiclass_classifier":
            return {"score": softmax(margins), "predicted_label": margins.argmax(axis=1)}
        margins = margins[:, 0]
        if linear.predictor_type == "regressor":
            return {"score": margins}
        scores = sigmoid(margins) if linear.scores_are_chances else margins
        return {"score": scores, "predicted_label": (margins > linear.threshold).view(np.int8)}
