"""What xgboost's server uses where the script defines nothing: `predict` of the model's file.

Rows come as libsvm besides the default codecs; what they leave out is missing, as in the algorithm. All others have
all of the model's columns, under its names if they name them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from toolkit.bodies import SEVERAL_ROWS, explained, too_many
from toolkit.codecs import DECODERS, NO_NAMES, CodecError, decode
from toolkit.lean_xgboost import xgboost
from toolkit.media import CSV, LIBSVM, media_type
from toolkit.spellings import is_number
from toolkit.wrapped_json import is_of_objects
from xgboost_errors import sentence_of
from xgboost_files import load_booster

READS = (*DECODERS, LIBSVM)


class Whole(xgboost.DMatrix):
    """Rows that leave no column out, as those of libsvm may."""

    of_one_line = False  # from CSV
    of_objects = False  # from JSON


def model_fn(model_dir: str) -> Any:
    return load_booster(Path(model_dir))


def input_fn(data: str | bytes, content_type: str) -> Any:
    from sagemaker_xgboost_container.encoder import libsvm_to_dmatrix  # which imports all of XGBoost, if first

    name = media_type(content_type).name
    decoded = None if name == LIBSVM else decode(data, content_type)
    try:
        return libsvm_to_dmatrix(data) if name == LIBSVM else _whole(decoded, is_csv=name == CSV)
    except (ValueError, TypeError) as error:  # what XGBoost says of arrays that are no table
        reason = f"the body is not {content_type} as expected: {sentence_of(str(error))}"
        body = data.encode() if isinstance(data, str) else data
        raise CodecError(415, explained(reason, body, name, reads=READS)) from error


def _whole(table: Any, *, is_csv: bool) -> Whole:
    names = [str(name) for name in table.columns] if hasattr(table, "columns") else None
    rows = Whole(_numbers(table), feature_names=names)
    rows.of_objects = is_of_objects(table)
    rows.of_one_line = is_csv and rows.num_row() == 1
    return rows


def _numbers(table: Any) -> Any:
    """The same table. Raises ValueError for the first text in it."""
    values = table.to_numpy() if hasattr(table, "to_numpy") else table
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "OSU":
        return table
    texts = [value for value in values.flat if isinstance(value, str)]
    if texts:
        wrong = next((text for text in texts if text and not is_number(text.encode())), "")
        raise ValueError(f"{(wrong or texts[0])[:40]!r} is {'' if wrong else 'text, '}not a number")
    return table.astype(np.float64)  # null is missing


def predict_fn(data: Any, model: Any) -> Any:
    if not isinstance(data, xgboost.DMatrix) or not isinstance(model, xgboost.Booster):
        return model.predict(data)
    _require_columns(data, model)
    return model.predict(data, validate_features=bool(data.feature_names and model.feature_names))


def _require_columns(data: xgboost.DMatrix, model: xgboost.Booster) -> None:
    width, count = model.num_features(), data.num_col()
    if getattr(data, "of_objects", False) and not model.feature_names:
        raise CodecError(400, NO_NAMES.format(width))
    if count > width or (count < width and isinstance(data, Whole)):
        lost = getattr(data, "of_one_line", False) and too_many(count, width)
        raise CodecError(400, f"expected {width} features, got {count}" + (SEVERAL_ROWS if lost else ""))
