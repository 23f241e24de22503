"""Bodies of requests to a DMatrix, for a script's input_fn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import sagespec_toolkit  # noqa: F401
import xgboost
from sagemaker_containers.errors import UnsupportedFormatError
from toolkit import recordio
from toolkit.media import CSV, LIBSVM, RECORDIO, media_type
from toolkit.rows import SparseRows, parse_csv


def csv_to_dmatrix(input: str | bytes, dtype: Any = None) -> xgboost.DMatrix:
    """Rows of numbers, whatever separates them; an empty field is missing."""
    rows = parse_csv(_bytes(input))
    return xgboost.DMatrix(rows.astype(dtype) if dtype else rows)


def libsvm_to_dmatrix(string_like: str | bytes) -> xgboost.DMatrix:
    """Rows with indices from 1 if no index is 0, as the hosted container reads them since May 2026."""
    rows = SparseRows()
    rows.add_libsvm(_bytes(string_like), labelled=False)
    if len(rows.columns) and min(rows.columns) > 0:
        rows.moved_down()
    return xgboost.DMatrix(rows.csr(width=rows.width))


def recordio_protobuf_to_dmatrix(string_like: bytes) -> xgboost.DMatrix:
    """The features of records; a label is left out."""
    _, rows = recordio.decode(bytes(string_like))
    return xgboost.DMatrix(rows.csr(width=rows.width) if isinstance(rows, SparseRows) else np.asarray(rows))


DECODERS: dict[str, Callable[[Any], xgboost.DMatrix]] = {
    CSV: csv_to_dmatrix,
    LIBSVM: libsvm_to_dmatrix,
    RECORDIO: recordio_protobuf_to_dmatrix,
}


def decode(obj: Any, content_type: str) -> xgboost.DMatrix:
    """Raises UnsupportedFormatError, which the server answers with 415."""
    name = media_type(content_type).name
    if name not in DECODERS:
        raise UnsupportedFormatError(content_type)
    return DECODERS[name](obj)


def json_to_jsonlines(json_data: Any) -> bytes:
    """`{"predictions": [...]}`, or its text, as a line for each prediction."""
    members = json_data if isinstance(json_data, dict) else json.loads(json_data)
    if len(members) != 1:
        raise ValueError(f"one member is expected, and there are {len(members)}")
    (entries,) = members.values()
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)
