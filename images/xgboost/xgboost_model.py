"""The model of xgboost as it is served: a Booster, answering as the hosted container does."""

from __future__ import annotations

import math
import os
from pathlib import Path

from toolkit.formats import Prediction
from toolkit.lean_xgboost import xgboost
from toolkit.media import CSV, JSON, JSON_LINES, LIBSVM, RECORDIO, MediaType
from toolkit.model import Model, Request
from toolkit.rows import FloatArray

FILE_NAME = "xgboost-model"


class XGBoostModel(Model):
    """One column `score`: a number, or a list of them for multi:softprob."""

    reads = (LIBSVM, CSV, JSON, JSON_LINES, RECORDIO)
    writes = (CSV, JSON, JSON_LINES, RECORDIO)
    absent = math.nan
    allow_missing = True

    def __init__(self, folder: Path) -> None:
        self.booster = xgboost.Booster({"nthread": 1})
        self.booster.load_model(bytearray((folder / FILE_NAME).read_bytes()))
        self.feature_count = self.booster.num_features()
        self.separator = "\n" if os.environ.get("SAGEMAKER_BATCH") else ","

    def predict(self, rows: FloatArray, request: Request) -> Prediction:  # noqa: ARG002
        return {"score": self.booster.inplace_predict(rows)}

    def encode(self, prediction: Prediction, media: MediaType) -> bytes:
        if media.name != CSV:
            return super().encode(prediction, media)
        # The hosted container writes all rows into one line, and a line each in batch transform.
        line = self.separator.join(map(str, prediction["score"].tolist()))
        return line.encode() + (b"\n" if self.separator == "\n" else b"")
