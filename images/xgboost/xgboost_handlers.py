"""What xgboost's server uses where the script defines nothing: `predict` of the model's file.

Rows come as libsvm besides the default codecs; what they leave out is missing, as in the algorithm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.codecs import CodecError, decode
from toolkit.lean_xgboost import xgboost
from toolkit.media import LIBSVM, media_type
from xgboost_files import load_booster


def model_fn(model_dir: str) -> Any:
    return load_booster(Path(model_dir))


def input_fn(data: str | bytes, content_type: str) -> Any:
    from sagemaker_xgboost_container.encoder import libsvm_to_dmatrix  # which imports all of XGBoost, if first

    is_libsvm = media_type(content_type).name == LIBSVM
    decoded = None if is_libsvm else decode(data, content_type)
    try:
        return libsvm_to_dmatrix(data) if is_libsvm else xgboost.DMatrix(decoded)
    except (ValueError, TypeError) as error:  # what XGBoost says of texts, and of arrays that are no table
        raise CodecError(415, f"the body is not {content_type} as expected: {error}") from error


def predict_fn(data: Any, model: Any) -> Any:
    if not isinstance(data, xgboost.DMatrix) or not isinstance(model, xgboost.Booster):
        return model.predict(data)
    if data.num_col() > model.num_features():
        raise CodecError(400, f"expected {model.num_features()} features, got {data.num_col()}")
    return model.predict(data, validate_features=bool(data.feature_names and model.feature_names))
