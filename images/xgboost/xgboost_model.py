"""The model of xgboost as it is served: a Booster, answering as the hosted container does."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import xgboost_outputs
from toolkit.formats import Prediction
from toolkit.lean_xgboost import xgboost
from toolkit.media import CSV, JSON, JSON_LINES, LIBSVM, RECORDIO, MediaType
from toolkit.model import Model, Request
from toolkit.rows import FloatArray

FILE_NAME = "xgboost-model"


class XGBoostModel(Model):
    """One column `score`: a number, or a list of them for multi:softprob.

    SAGEMAKER_INFERENCE_OUTPUT asks for others, by name and separated by commas.
    """

    reads = (LIBSVM, CSV, JSON, JSON_LINES, RECORDIO)
    writes = (CSV, JSON, JSON_LINES, RECORDIO)
    absent = math.nan
    allow_missing = True

    def __init__(self, folder: Path) -> None:
        self.booster = xgboost.Booster({"nthread": 1})
        self.booster.load_model(bytearray((folder / FILE_NAME).read_bytes()))
        self.feature_count = self.booster.num_features()
        self.outputs = self._outputs(os.environ.get("SAGEMAKER_INFERENCE_OUTPUT", ""))
        self.separator = "\n" if os.environ.get("SAGEMAKER_BATCH") else ","

    def _outputs(self, names: str) -> xgboost_outputs.Columns:
        if not names:
            return {}
        learner = json.loads(self.booster.save_config())["learner"]
        class_count = int(learner["learner_model_param"]["num_class"]) or 2
        asked = [name.strip() for name in names.split(",")]
        return xgboost_outputs.choose(asked, learner["objective"]["name"], class_count)

    def predict(self, rows: FloatArray, request: Request) -> Prediction:  # noqa: ARG002
        raw = self.booster.inplace_predict(rows)
        if self.outputs:
            return {name: column(raw) for name, column in self.outputs.items()}
        return {"score": raw}

    def encode(self, prediction: Prediction, media: MediaType) -> bytes:
        if media.name != CSV:
            return super().encode(prediction, media)
        if self.outputs:
            return xgboost_outputs.encode_csv(prediction)
        # The hosted container writes all rows into one line, and a line each in batch transform.
        line = self.separator.join(map(str, prediction["score"].tolist()))
        return line.encode() + (b"\n" if self.separator == "\n" else b"")
