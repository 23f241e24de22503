"""The model of pca as it is served: the mean row and the components in one numpy file."""

from __future__ import annotations

from pathlib import Path

from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.rows import FloatArray

FILE_NAME = "pca.npz"


class PCAModel(Model):
    """One column `projection`, a list a row; in JSON as `{"projections": [{"projection": [...]}]}`."""

    json_name = "projections"

    def __init__(self, folder: Path) -> None:
        given = arrays.load(folder / FILE_NAME)
        self.components: FloatArray = given["components"].T
        self.mean: FloatArray = given["mean"]
        self.feature_count = self.components.shape[0]

    def predict(self, rows: FloatArray, request: Request) -> Prediction:  # noqa: ARG002
        return {"projection": (rows - self.mean) @ self.components}


def save(folder: Path, *, mean: FloatArray, components: FloatArray, variances: FloatArray) -> None:
    """`components` has shape (components, features), `variances` (components,); the one that explains most is last,
    as the hosted algorithm has it."""
    arrays.save(folder / FILE_NAME, mean=mean, components=components, variances=variances)
