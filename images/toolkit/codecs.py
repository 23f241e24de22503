"""The default codecs of a framework's server: request bodies to arrays, predictions to response bodies.

JSON, CSV and NPY, and NPZ (a sparse matrix of scipy) as input, as sagemaker-inference 1.10 has them (decoder.py,
encoder.py), with three differences: a CSV body is always a table, also of one row or column; pickles inside
NPY are refused; and JSON may wrap its array as other servers have it (`wrapped_json`). Scripts may use `decode` and
`encode` too.
"""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from toolkit import numeric
from toolkit.bodies import explained
from toolkit.limits import require_room, require_room_for_json
from toolkit.media import CSV, JSON, media_type
from toolkit.rows import BYTE_ORDER_MARK, BadRow, parse_csv
from toolkit.wrapped_json import array_of, unwrapped

NPY = "application/x-npy"
NPZ = "application/x-npz"
TEXTS = (JSON, CSV)  # handlers get these as str
BYTES_OF_A_TEXT = 64
NO_NAMES = "the model does not know its columns by names; send a row's {} values as a list: [[…], …]"


class CodecError(Exception):
    """What these codecs cannot read or write, and the status for it. A script's input_fn or output_fn may."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


def decode(body: str | bytes, content_type: str) -> Any:
    """The array in `body`: a sparse matrix for NPZ, what `wrapped_json` says for JSON. Raises CodecError 415."""
    name = media_type(content_type or JSON).name
    if name not in DECODERS:
        raise CodecError(415, f"content type {content_type} is not among {', '.join(DECODERS)}")
    plain = body.encode() if isinstance(body, str) else body
    try:
        return DECODERS[name](plain)
    except Exception as error:  # the parsers of four formats raise about twenty kinds for a damaged body
        reason = f"the body is not {name} as expected: {error or type(error).__name__}"
        raise CodecError(415, explained(reason, plain, name, reads=tuple(DECODERS))) from error


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


def dense(decoded: Any) -> Any:
    """What `decode` gave as a plain array. Raises CodecError 415 for a sparse matrix that would not fit in memory."""
    if hasattr(decoded, "to_numpy"):
        return decoded.to_numpy()
    if not hasattr(decoded, "toarray"):
        return decoded
    try:
        require_room(
            math.prod(decoded.shape) * decoded.dtype.itemsize, f"a sparse matrix of {decoded.shape}, as array,"
        )
    except ValueError as error:
        raise CodecError(415, str(error)) from error
    return decoded.toarray()


def _decode_json(body: bytes) -> Any:
    require_room_for_json(body)
    plain = body.removeprefix(BYTE_ORDER_MARK)
    table = numeric.table_of_json(plain)
    return unwrapped(json.loads(plain)) if table is None else table


def _decode_csv(body: bytes) -> Any:
    if b'"' not in body:
        try:
            return parse_csv(body).copy()  # a script may write into it
        except BadRow:
            pass  # texts among the numbers
    text = body.removeprefix(BYTE_ORDER_MARK).decode()
    require_room(BYTES_OF_A_TEXT * (text.count(",") + text.count("\n") + 1), "the body's fields")
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("the rows have different numbers of fields")
    try:
        return np.array([[float(field or "nan") for field in row] for row in rows])
    except ValueError:
        return array_of(rows)


def _decode_npy(body: bytes) -> Any:
    stream = io.BytesIO(body)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not dtype.itemsize or max((size, *shape)) > len(body):
        raise ValueError(f"its header says {size} bytes in shape {shape}, and there are {len(body) - stream.tell()}")
    return np.load(io.BytesIO(body), allow_pickle=False)


def _decode_npz(body: bytes) -> Any:
    import scipy.sparse

    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        require_room(sum(member.file_size for member in archive.infolist()), "what is packed in the body")
    return scipy.sparse.load_npz(io.BytesIO(body))


def _encode_json(prediction: Any) -> bytes:
    return numeric.as_json(prediction) or json.dumps(prediction, default=_plain).encode()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _encode_csv(prediction: Any) -> bytes:
    if (quick := numeric.as_csv(prediction)) is not None:
        return quick
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
