"""The default codecs of a framework's server: request bodies to arrays, predictions to response bodies.

JSON, CSV and NPY, and NPZ (a sparse matrix of scipy) as input, as sagemaker-inference 1.10 has them (decoder.py,
encoder.py), with two differences: a CSV body is always a table, also of one row or column, and pickles inside
NPY are refused. Scripts may use `decode` and `encode` too.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from toolkit.media import CSV, JSON, media_type

NPY = "application/x-npy"
NPZ = "application/x-npz"
TEXTS = (JSON, CSV)  # handlers get these as str


class CodecError(Exception):
    """What these codecs cannot read or write, and the status for it. A script's input_fn or output_fn may."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


def decode(body: str | bytes, content_type: str) -> Any:
    """The array (sparse matrix for NPZ) in `body`. Raises CodecError 415."""
    name = media_type(content_type or JSON).name
    if name not in DECODERS:
        raise CodecError(415, f"content type {content_type} is not among {', '.join(DECODERS)}")
    try:
        return DECODERS[name](body.encode() if isinstance(body, str) else body)
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise CodecError(415, f"the body is not {name} as expected: {error}") from error


def encode(prediction: Any, accept: str) -> tuple[bytes, str]:
    """`prediction` (an array, or what JSON can hold) in the first type of `accept` that has a codec; and that type.

    Raises CodecError 406.
    """
    for wish in accept.split(","):
        name = media_type(wish).name
        name = JSON if name in ("*/*", "application/*") else name
        if name in ENCODERS:
            return ENCODERS[name](prediction), name
    raise CodecError(406, f"Accept {accept} is not among {', '.join(ENCODERS)}")


def _decode_json(body: bytes) -> Any:
    return np.array(json.loads(body))


def _decode_csv(body: bytes) -> Any:
    rows = [row for row in csv.reader(io.StringIO(body.decode())) if row]
    try:
        return np.array(rows, np.float64)
    except ValueError:
        pass  # texts among the numbers, or an empty field
    if len({len(row) for row in rows}) > 1:
        raise ValueError("the rows have different numbers of fields")
    if all(_is_number_or_empty(field) for row in rows for field in row):
        return np.array([[float(field or "nan") for field in row] for row in rows])
    return np.array(rows)


def _is_number_or_empty(field: str) -> bool:
    try:
        float(field or "nan")
    except ValueError:
        return False
    return True


def _decode_npy(body: bytes) -> Any:
    return np.load(io.BytesIO(body), allow_pickle=False)


def _decode_npz(body: bytes) -> Any:
    import scipy.sparse

    return scipy.sparse.load_npz(io.BytesIO(body))


def _encode_json(prediction: Any) -> bytes:
    return json.dumps(prediction, default=_plain).encode()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _encode_csv(prediction: Any) -> bytes:
    stream = io.StringIO()
    np.savetxt(stream, np.atleast_1d(np.asarray(prediction)), delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def _encode_npy(prediction: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(prediction), allow_pickle=False)
    return stream.getvalue()


DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    JSON: _decode_json,
    CSV: _decode_csv,
    NPY: _decode_npy,
    NPZ: _decode_npz,
}
ENCODERS: Mapping[str, Callable[[Any], bytes]] = {
    JSON: _encode_json,
    CSV: _encode_csv,
    NPY: _encode_npy,
}
