"""The model of xgboost as it is served: a Booster, answering as the hosted container does."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost_outputs
from scipy.sparse import csr_matrix
from toolkit import recordio
from toolkit.errors import ClientError
from toolkit.formats import Prediction, WrongWidth
from toolkit.limits import require_room
from toolkit.media import CSV, JSON, JSON_LINES, LIBSVM, RECORDIO, MediaType
from toolkit.model import Model, Request
from toolkit.rows import FloatArray, SparseRows
from xgboost_files import AS_TRAINED, load_boosters

if TYPE_CHECKING:
    from toolkit.onnx_convert import Subject

BLOCK_ROWS = 2**16
GIVE_CLASSES = ("multi:softmax", "binary:hinge")


class XGBoostModel(Model):
    """One column `score`: a number, or a list of them for multi:softprob.

    SAGEMAKER_INFERENCE_OUTPUT asks for others, by name and separated by commas. Rows may be narrower than the model's,
    as in the hosted container: what they leave out is missing. Sparse rows stay sparse, whatever their width. The
    models of a cross-validation answer together.
    """

    reads = (LIBSVM, CSV, JSON, JSON_LINES, RECORDIO)
    writes = (CSV, JSON, JSON_LINES, RECORDIO)
    absent = math.nan
    allow_missing = True

    def __init__(self, folder: Path) -> None:
        self.boosters = load_boosters(folder)
        if os.environ.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true").lower() == "false":
            del self.boosters[1:]
        for booster in self.boosters:
            booster.set_param({"nthread": 1})
        self.booster = self.boosters[0]
        learner = json.loads(self.booster.save_config())["learner"]
        self.objective = learner["objective"]["name"]
        self.class_count = int(learner["learner_model_param"]["num_class"]) or 2
        if self.objective in GIVE_CLASSES:
            self.class_columns = (*Model.class_columns, "score")
        self.feature_count = self.booster.num_features()
        self.outputs = self._outputs(os.environ.get("SAGEMAKER_INFERENCE_OUTPUT", ""))
        self.is_batch = bool(os.environ.get("SAGEMAKER_BATCH"))

    def _outputs(self, names: str) -> xgboost_outputs.Columns:
        if not names:
            return {}
        asked = [name.strip() for name in names.split(",")]
        return xgboost_outputs.choose(asked, self.objective, self.class_count)

    def decode(self, body: bytes, content_type: str) -> Any:
        """Dense rows of the model's width, or a sparse array."""
        if content_type == LIBSVM:
            sparse = SparseRows()
            sparse.add_libsvm(body, labelled=False)
            if self._counts_from_one(sparse):
                sparse.moved_down()
            return self._sparse(sparse)
        if content_type == RECORDIO:
            _, rows = recordio.decode(body)
            return self._sparse(rows) if isinstance(rows, SparseRows) else self._widened(rows)
        return self._widened(super().decode(body, content_type))

    def _counts_from_one(self, rows: SparseRows) -> bool:
        """Whether libsvm's indices count from 1: as hosted, if none is 0.

        Not where that cannot be: the model was trained here on such indices, or they fit and it never asks for the
        first feature, as one that was trained on indices from 1.
        """
        if not len(rows.columns) or min(rows.columns) == 0 or self.booster.attr(next(iter(AS_TRAINED))):
            return False
        return rows.width > self.feature_count or self._asks_for_first_feature

    @cached_property
    def _asks_for_first_feature(self) -> bool:
        first = (self.booster.feature_names or ["f0"])[0]
        return any(first in booster.get_score(importance_type="weight") for booster in self.boosters)

    def _sparse(self, rows: SparseRows) -> Any:
        if not rows.lengths:
            raise ValueError("there are no rows")
        if rows.width > self.feature_count:
            raise WrongWidth(self.feature_count, rows.width)
        return csr_matrix(rows.csr(width=self.feature_count))  # which is what inplace_predict knows

    def _widened(self, rows: FloatArray) -> FloatArray:
        if rows.ndim != 2 or not 0 < rows.shape[1] < self.feature_count:
            return rows
        require_room(8 * len(rows) * self.feature_count, f"{len(rows)} rows of {self.feature_count} features")
        wide = np.full((len(rows), self.feature_count), math.nan)
        wide[:, : rows.shape[1]] = rows
        return wide

    def predict(self, rows: Any, request: Request) -> Prediction:  # noqa: ARG002
        raw = self.fast(rows)
        if raw is None:
            raw = self._together([booster.inplace_predict(rows, validate_features=False) for booster in self.boosters])
        if self.outputs:
            return {name: column(raw) for name, column in self.outputs.items()}
        return {"score": raw}

    def subject(self) -> Subject:
        from toolkit.onnx_boosters import subject_of_xgboost

        if len(self.boosters) > 1:
            raise ClientError("it is the models of a cross-validation, which answer together")
        return replace(subject_of_xgboost(self.booster), names=())

    def _together(self, answers: list[Any]) -> Any:
        """As hosted: the mean, and of classes the one that most models predict, the smallest of several."""
        if len(answers) == 1:
            return answers[0]
        if self.objective not in GIVE_CLASSES:
            return np.mean(answers, axis=0)
        classes = np.arange(self.class_count)
        return (np.array(answers)[..., np.newaxis] == classes).sum(axis=0).argmax(axis=1).astype(np.float32)

    def encode(self, prediction: Prediction, media: MediaType) -> bytes:
        if media.name != CSV:
            return super().encode(prediction, media)
        if self.outputs or prediction["score"].dtype == object:
            return xgboost_outputs.encode_csv(prediction)
        return b"".join(self._csv(prediction["score"]))

    def _csv(self, scores: Any) -> Any:
        """A line a row; several numbers are separated by commas, and in batch transform written as a list."""
        for start in range(0, len(scores), BLOCK_ROWS):
            rows = scores[start : start + BLOCK_ROWS].tolist()
            if scores.ndim > 1 and not self.is_batch:
                rows = [",".join(map(str, row)) for row in rows]
            yield "".join(f"{row}\n" for row in rows).encode()
