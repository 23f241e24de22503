"""What xgboost's server uses where the script defines nothing: `predict` of the model's file.

Rows come as libsvm besides the default codecs; what they leave out is missing, as in the algorithm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.codecs import CodecError, decode
from toolkit.lean_xgboost import xgboost
from toolkit.media import LIBSVM, media_type
from toolkit.rows import SparseRows
from xgboost_files import load_booster


def model_fn(model_dir: str) -> Any:
    return load_booster(Path(model_dir))


def input_fn(data: str | bytes, content_type: str) -> Any:
    is_libsvm = media_type(content_type).name == LIBSVM
    decoded = None if is_libsvm else decode(data, content_type)
    try:
        return _of_libsvm(data if isinstance(data, bytes) else data.encode()) if is_libsvm else xgboost.DMatrix(decoded)
    except (ValueError, TypeError) as error:  # what XGBoost says of texts, and of arrays that are no table
        raise CodecError(415, f"the body is not {content_type} as expected: {error}") from error


def _of_libsvm(body: bytes) -> xgboost.DMatrix:
    """Rows with indices from 1 if no index is 0, as in the hosted container (encoder.py, since May 2026)."""
    rows = SparseRows()
    rows.add_libsvm(body, labelled=False)
    if len(rows.columns) and min(rows.columns) > 0:
        rows.moved_down()
    return xgboost.DMatrix(rows.csr(width=rows.width))


def predict_fn(data: Any, model: Any) -> Any:
    if not isinstance(data, xgboost.DMatrix) or not isinstance(model, xgboost.Booster):
        return model.predict(data)
    if data.num_col() > model.num_features():
        raise CodecError(400, f"expected {model.num_features()} features, got {data.num_col()}")
    return model.predict(data, validate_features=bool(data.feature_names and model.feature_names))
