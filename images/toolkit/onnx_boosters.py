"""Boosters of XGBoost and LightGBM, without scikit-learn's interface, as subjects of `onnx_convert`."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit import onnx_samples
from toolkit.onnx_convert import Subject
from toolkit.onnx_trees import widened

OPSET = 15


def subject_of_xgboost(booster: Any) -> Subject:
    """XGBoost compares in float32, whatever it is given."""
    plain = booster.copy()
    plain.feature_names = plain.feature_types = None
    plain.set_attr(best_iteration=None, best_score=None)  # predictions are of all trees, unless asked otherwise

    def graph(_way: str) -> bytes:
        import onnxmltools

        made = onnxmltools.convert_xgboost(plain, initial_types=_rows(width), target_opset=OPSET)
        return bytes(made.SerializeToString())

    width = int(booster.num_features())
    return Subject(
        model=booster,
        width=width,
        predict=lambda rows: booster.inplace_predict(rows, validate_features=False),
        rows=onnx_samples.matrix(plain, width),
        graph=graph,
        inputs=lambda _way: (("rows", "float"),),
        names=tuple(map(str, booster.feature_names or ())),
        kinds=("float",),
    )


def subject_of_lightgbm(booster: Any) -> Subject:
    """LightGBM compares in float64."""

    def graph(way: str) -> bytes:
        import onnxmltools

        made = onnxmltools.convert_lightgbm(booster, initial_types=_rows(width), target_opset=OPSET, zipmap=False)
        narrow = bytes(made.SerializeToString())
        return narrow if way == "float" else widened(narrow, onnx_samples.by_feature(booster))

    width = int(booster.num_feature())
    return Subject(
        model=booster,
        width=width,
        predict=lambda rows: np.asarray(booster.predict(rows, num_threads=1)),
        rows=onnx_samples.matrix(booster, width),
        graph=graph,
        inputs=lambda way: (("rows", "float" if way == "float" else "double"),),
        kinds=("wide", "float"),
    )


def _rows(width: int) -> list[tuple[str, Any]]:
    from onnxmltools.convert.common.data_types import FloatTensorType

    return [("rows", FloatTensorType([None, width]))]
