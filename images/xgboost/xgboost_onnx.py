"""What xgboost's server uses where `accelerate: onnx` is on: rows go to the form as they come.

They become a DMatrix only where they are not what the form was checked for, and the booster answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import xgboost_handlers
from toolkit.codecs import decode
from toolkit.media import LIBSVM, media_type
from xgboost_handlers import READS, model_fn

__all__ = ["READS", "TAKES_ANY_INPUT", "input_fn", "model_fn", "predict_fn", "subject_of"]

TAKES_ANY_INPUT = False  # a DMatrix tells nobody what is in it


@dataclass(frozen=True)
class Rows:
    """A body, and the table in it."""

    table: Any
    body: str | bytes
    content_type: str


def input_fn(data: str | bytes, content_type: str) -> Any:
    if media_type(content_type).name == LIBSVM:
        return xgboost_handlers.input_fn(data, content_type)
    return Rows(decode(data, content_type), data, content_type)


def predict_fn(data: Any, model: Any) -> Any:
    """model: an Accelerated booster."""
    if isinstance(data, Rows):
        rows = model.form.rows_of(data.table)
        if rows is not None:
            return model.form.predict(rows)
        data = xgboost_handlers.input_fn(data.body, data.content_type)
    return xgboost_handlers.predict_fn(data, model.original)


def subject_of(model: Any) -> Any:
    from toolkit import onnx_boosters
    from toolkit.lean_xgboost import xgboost
    from toolkit.onnx_form import NoForm

    if not isinstance(model, xgboost.Booster):
        raise NoForm(f"the script's model_fn returns a {type(model).__name__}, and no Booster")
    return onnx_boosters.subject_of_xgboost(model)
