"""What sklearn's server uses where `accelerate: onnx` is on: the form, and its own handlers where that does not answer.

Nothing here asks the original for anything else: it is loaded when it is first needed, with all of scikit-learn.
"""

from __future__ import annotations

from typing import Any

import sklearn_handlers
from sklearn_handlers import model_fn

__all__ = ["TAKES_ANY_INPUT", "model_fn", "predict_fn", "subject_of"]

TAKES_ANY_INPUT = True  # what an input_fn of one's own gives is an array or a table, as what the codecs give


def predict_fn(data: Any, model: Any) -> Any:
    """model: an Accelerated one."""
    rows = model.form.rows_of(data)
    return sklearn_handlers.predict_fn(data, model.original) if rows is None else model.form.predict(rows)


def subject_of(model: Any) -> Any:
    from toolkit import onnx_sklearn

    return onnx_sklearn.subject_of(model)
