"""The model of linear-learner as it is served: weights and biases in one numpy file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.rows import FloatArray

FILE_NAME = "linear.npz"


def save(folder: Path, *, predictor_type: str, weights: FloatArray, biases: FloatArray) -> None:
    """`weights` has shape (features, outputs) and `biases` (outputs,), for rows as they come."""
    np.savez(folder / FILE_NAME, predictor_type=np.array(predictor_type), weights=weights, biases=biases)


class LinearModel(Model):
    """Scores, and for classifiers the predicted label, as the hosted linear learner answers."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / FILE_NAME, allow_pickle=False) as arrays:
            self.predictor_type = str(arrays["predictor_type"])
            self.weights: FloatArray = arrays["weights"]
            self.biases: FloatArray = arrays["biases"]
        self.feature_count = self.weights.shape[0]

    def predict(self, rows: FloatArray, request: Request) -> Prediction:  # noqa: ARG002
        margins = rows @ self.weights + self.biases
        if self.predictor_type == "multiclass_classifier":
            return {"score": softmax(margins), "predicted_label": margins.argmax(axis=1)}
        margins = margins[:, 0]
        if self.predictor_type == "regressor":
            return {"score": margins}
        return {"score": sigmoid(margins), "predicted_label": (margins > 0).view(np.int8)}


def sigmoid(margins: FloatArray) -> FloatArray:
    """1 / (1 + exp(-margins)), by way of tanh, which does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * margins))


def softmax(margins: FloatArray) -> FloatArray:
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return shares
