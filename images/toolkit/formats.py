"""Request bodies to rows, predictions to response bodies: the formats of SageMaker's built-ins.

A `Prediction` is one array an output column, rows first. A body that cannot be read raises
ValueError, rows of the wrong width raise WrongWidth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from toolkit.media import CSV, JSON, JSON_LINES, LIBSVM
from toolkit.rows import FloatArray, SparseRows, parse_csv

Prediction: TypeAlias = Mapping[str, NDArray[Any]]


class WrongWidth(ValueError):
    """Rows that were read well but do not fit the model."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"expected {expected} features, got {got}")


def decode_csv(body: bytes, _width: int, _absent: float) -> FloatArray:
    return parse_csv(body)


def decode_libsvm(body: bytes, width: int, absent: float) -> FloatArray:
    """Rows of `width`; a label in front is allowed and not used."""
    sparse = SparseRows()
    sparse.add(body, labelled=False)
    if sparse.width > width:
        raise WrongWidth(width, sparse.width)
    return sparse.dense(width=width, absent=absent)


def decode_json(body: bytes, width: int, absent: float) -> FloatArray:
    """`{"instances": [{"features": [...]}, ...]}`, or each as `{"data": {"features": {"values": ...}}}`."""
    document = orjson.loads(body)
    try:
        instances = document["instances"]
    except (TypeError, KeyError):
        raise ValueError('expected an object {"instances": [{"features": [...]}, ...]}') from None
    return _rows_of(instances, width, absent)


def decode_json_lines(body: bytes, width: int, absent: float) -> FloatArray:
    """One instance, written as in JSON, a line."""
    return _rows_of([orjson.loads(line) for line in body.splitlines() if line.strip()], width, absent)


def _rows_of(instances: list[Any], width: int, absent: float) -> FloatArray:
    try:
        rows = [instance["features"] for instance in instances]
    except (TypeError, KeyError):
        rows = [_features(instance, width, absent) for instance in instances]
    try:
        return np.array(rows, np.float64)
    except (TypeError, ValueError):
        raise ValueError("each instance needs the same number of features, all of them numbers") from None


def _features(instance: Any, width: int, absent: float) -> Any:
    """The row of one instance in any of its spellings: named, as a record, or bare."""
    if isinstance(instance, list):
        return instance
    features = instance.get("features") if isinstance(instance, dict) else None
    if features is None and isinstance(instance, dict) and isinstance(instance.get("data"), dict):
        features = instance["data"].get("features")
    if isinstance(features, dict):
        return _record(features, width, absent)
    if features is None:
        raise ValueError('an instance is {"features": [...]} or {"data": {"features": {"values": [...]}}}')
    return features


def _record(features: dict[str, Any], width: int, absent: float) -> Any:
    """A record's values; with `keys` and `shape` they are the filled places of a sparse row."""
    values = features.get("values")
    if "keys" not in features:
        return values
    try:
        if features["shape"][-1] != width:
            raise WrongWidth(width, features["shape"][-1])
        row = np.full(width, absent)
        row[np.array(features["keys"], np.int64)] = values
    except WrongWidth:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise ValueError("a sparse instance needs keys, values and shape that fit together") from None
    return row


def encode_json(prediction: Prediction) -> bytes:
    return orjson.dumps({"predictions": _records(prediction)})


def encode_json_lines(prediction: Prediction) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in _records(prediction))


def encode_csv(prediction: Prediction) -> bytes:
    """Bare columns in the order of `prediction`, a line a row; a column of lists becomes several."""
    columns = [part for column in prediction.values() for part in _flat(column)]
    rows = orjson.dumps(list(zip(*columns, strict=True)))
    return rows[2:-2].replace(b"],[", b"\n") + b"\n"


def _flat(column: NDArray[Any]) -> list[list[Any]]:
    return [column.tolist()] if column.ndim == 1 else column.T.tolist()


def _records(prediction: Prediction) -> list[dict[str, Any]]:
    columns = [column.tolist() for column in prediction.values()]
    return [dict(zip(prediction, row, strict=True)) for row in zip(*columns, strict=True)]


DECODERS: Mapping[str, Callable[[bytes, int, float], FloatArray]] = {
    CSV: decode_csv,
    LIBSVM: decode_libsvm,
    JSON: decode_json,
    JSON_LINES: decode_json_lines,
}
ENCODERS: Mapping[str, Callable[[Prediction], bytes]] = {
    JSON: encode_json,
    JSON_LINES: encode_json_lines,
    CSV: encode_csv,
}
