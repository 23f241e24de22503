"""What xgboost's server uses where the script defines nothing: `predict` of the file xgboost-model.

Rows come as libsvm besides the default codecs; what they leave out is missing, as in the algorithm.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from toolkit.codecs import CodecError, decode
from toolkit.lean_xgboost import xgboost
from toolkit.media import LIBSVM, media_type
from toolkit.rows import SparseRows
from xgboost_model import FILE_NAME


def model_fn(model_dir: str) -> Any:
    if not Path(model_dir, FILE_NAME).is_file():
        raise FileNotFoundError(f"the archive has no {FILE_NAME}: save one, or define model_fn(model_dir)")
    booster = xgboost.Booster()
    booster.load_model(bytearray(Path(model_dir, FILE_NAME).read_bytes()))
    return booster


def input_fn(data: str | bytes, content_type: str) -> Any:
    if media_type(content_type).name != LIBSVM:
        return xgboost.DMatrix(decode(data, content_type))
    rows = SparseRows()
    try:
        rows.add_libsvm(data if isinstance(data, bytes) else data.encode(), labelled=False)
    except ValueError as error:
        raise CodecError(415, f"the body is not {LIBSVM} as expected: {error}") from error
    return xgboost.DMatrix(rows.dense(width=rows.width, absent=math.nan))


def predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)
