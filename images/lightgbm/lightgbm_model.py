"""The model of lightgbm as it is served: LightGBM's own text, answering as the hosted container does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from lean_lightgbm import lightgbm
from toolkit import mlflow_model
from toolkit.formats import Prediction
from toolkit.media import JSON, MediaType
from toolkit.model import Model, Request
from toolkit.sparse import Rows

if TYPE_CHECKING:
    from toolkit.onnx_convert import Subject

FILE_NAME = "lightgbm-model.txt"


def as_taken(rows: Rows) -> Any:
    """Rows as LightGBM takes them: of scipy's sparse arrays, only the older kind."""
    if isinstance(rows, np.ndarray):
        return rows
    from scipy.sparse import csr_matrix

    return csr_matrix(rows)


class LightGBMModel(Model):
    """`probabilities` of the classes, or `prediction`; in JSON each is one member with all rows.

    `Accept: application/json;verbose` adds the classes as `labels`, and `predicted_label`.
    """

    class_lists = "probabilities"
    absent = None
    allow_missing = True

    def __init__(self, folder: Path) -> None:
        described = mlflow_model.read(folder)
        text = (folder / (described.file("lightgbm", "data") if described else FILE_NAME)).read_text()
        self.booster = lightgbm.Booster(model_str=text)
        self.feature_count = self.booster.num_feature()
        objective = re.search(r"^objective=(\w+)", text, re.MULTILINE)
        self.is_binary = objective is not None and objective[1] == "binary"
        self.is_classifier = self.is_binary or self.booster.num_model_per_iteration() > 1

    def predict(self, rows: Rows, request: Request) -> Prediction:  # noqa: ARG002
        predicted = self.fast(rows)
        if predicted is None:
            predicted = np.asarray(self.booster.predict(as_taken(rows), num_threads=1))
        if self.is_binary:
            return {"probabilities": np.column_stack([1.0 - predicted, predicted])}
        return {"probabilities" if self.is_classifier else "prediction": predicted}

    def subject(self) -> Subject:
        from toolkit.onnx_boosters import subject_of_lightgbm

        return subject_of_lightgbm(self.booster)

    def encode(self, prediction: Prediction, media: MediaType) -> bytes:
        if media.name != JSON:
            return super().encode(prediction, media)
        members = dict(prediction)
        is_verbose = self.is_classifier and "verbose" in media.parameters
        if is_verbose or "labels" in members:
            members["labels"] = self.named(np.arange(prediction["probabilities"].shape[1]))
        if is_verbose:
            members["predicted_label"] = self.named(prediction["probabilities"].argmax(axis=1))
        return orjson.dumps({name: values.tolist() for name, values in members.items()})
