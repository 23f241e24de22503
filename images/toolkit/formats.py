"""Request bodies to rows, predictions to response bodies: the formats of SageMaker's built-ins.

A `Prediction` is one array an output column, rows first. A body that cannot be read raises
ValueError, rows of the wrong width raise WrongWidth.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from toolkit import recordio
from toolkit.hints import HEADER
from toolkit.instances import features_of, sparse_entries
from toolkit.limits import require_room, require_room_for_json
from toolkit.media import CSV, JSON, JSON_LINES, LIBSVM, RECORDIO
from toolkit.rows import BYTE_ORDER_MARK, BadRow, FloatArray, SparseRows, parse_csv

if TYPE_CHECKING:
    from toolkit.sparse import Rows

BLOCK_ROWS = 2**16
DENSE_BYTES = 2**20  # sparse rows that are no larger when dense are made dense: scipy is slow to import

Prediction: TypeAlias = Mapping[str, NDArray[Any]]


class WrongWidth(ValueError):
    """Rows that were read well but do not fit the model."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"expected {expected} features, got {got}")


def decode_csv(body: bytes, _width: int, _absent: float | None) -> FloatArray:
    try:
        return parse_csv(body)
    except BadRow as error:  # a request has no spec
        raise ValueError(str(error).replace(HEADER, "; a header line? Leave it out")) from error


def decode_libsvm(body: bytes, width: int, absent: float | None) -> Rows:
    """Rows of `width`; a label in front is allowed and ignored."""
    sparse = SparseRows()
    sparse.add_libsvm(body, labelled=False)
    if sparse.width > width:
        raise WrongWidth(width, sparse.width)
    return _array(sparse, width, absent)


def decode_json(body: bytes, width: int, absent: float | None) -> Rows:
    """`{"instances": [{"features": [...]}, ...]}`, or each as `{"data": {"features": {"values": ...}}}`."""
    require_room_for_json(body)
    document = orjson.loads(body.removeprefix(BYTE_ORDER_MARK))
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        raise ValueError(
            'one row is written {"instances": [{"features": [...]}]}, several {"instances": [{"features": [...]}, ...]}'
        )
    return _rows_of(instances, width, absent)


def decode_json_lines(body: bytes, width: int, absent: float | None) -> Rows:
    """One instance, written as in JSON, a line."""
    require_room_for_json(body)
    lines = body.removeprefix(BYTE_ORDER_MARK).splitlines()
    return _rows_of([orjson.loads(line) for line in lines if line.strip()], width, absent)


def decode_recordio(body: bytes, width: int, absent: float | None) -> Rows:
    """The features of each record; a label is allowed and ignored."""
    _, rows = recordio.decode(body)
    if isinstance(rows, SparseRows):
        if rows.declared_width not in (0, width) or rows.width > width:
            raise WrongWidth(width, rows.width)
        return _array(rows, width, absent)
    return rows


def _array(rows: SparseRows, width: int, absent: float | None) -> Rows:
    """Wide rows stay sparse where the model takes them so."""
    if absent is None and 8 * width * len(rows.lengths) > DENSE_BYTES:
        return rows.csr(width=width)
    return rows.dense(width=width, absent=absent or 0.0)


def _rows_of(instances: list[Any], width: int, absent: float | None) -> Rows:
    try:
        return np.array([instance["features"] for instance in instances], np.float64)
    except (TypeError, KeyError, ValueError, OverflowError):  # another spelling, or a mistake
        if absent is None and all(map(_is_sparse, instances)):
            return _array(_sparse_rows(instances, width), width, absent)
        require_room(8 * width * sum(_is_sparse(instance) for instance in instances), "sparse instances, made dense,")
        rows = [_row(instance, width, absent or 0.0) for instance in instances]
    try:
        return np.array(rows, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("each instance needs the same number of features, all of them numbers") from None


def _sparse_rows(instances: list[Any], width: int) -> SparseRows:
    rows = SparseRows()
    for instance in instances:
        rows.add_row(*_entries(features_of(instance), width))
    return rows


def _entries(features: Any, width: int) -> tuple[NDArray[np.int64], FloatArray, int]:
    """Columns, values and the declared width, which must be `width`."""
    columns, values, declared_width = sparse_entries(features)
    if declared_width != width:
        raise WrongWidth(width, declared_width)
    return columns, values, declared_width


def _is_sparse(instance: Any) -> bool:
    return isinstance(features_of(instance), dict)


def _row(instance: Any, width: int, absent: float) -> Any:
    features = features_of(instance)
    if isinstance(features, list):
        return features
    columns, values, _ = _entries(features, width)
    row = np.full(width, absent)
    row[columns] = values
    return row


def encode_json(prediction: Prediction, name: str = "predictions") -> bytes:
    """One object whose only member, `name`, is the list of rows."""
    blocks = [orjson.dumps(_records(block))[1:-1] for block in _blocks(prediction)]
    return b"{" + orjson.dumps(name) + b":[" + b",".join(blocks) + b"]}"


def encode_json_lines(prediction: Prediction) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for block in _blocks(prediction) for record in _records(block))


def encode_csv(prediction: Prediction) -> bytes:
    """Bare columns in the order of `prediction`, a line a row; a column of lists becomes several."""
    columns = [part for column in prediction.values() for part in _flat(column)]
    if any(column.dtype == object for column in prediction.values()):  # names of classes
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
        return text.getvalue().encode()
    rows = orjson.dumps(list(zip(*columns, strict=True)))
    return rows[2:-2].replace(b"],[", b"\n") + b"\n"


def encode_recordio(prediction: Prediction) -> bytes:
    """A record a row; the columns are in its label map, under their names."""
    return recordio.encode({}, prediction)


def _flat(column: NDArray[Any]) -> list[list[Any]]:
    return [column.tolist()] if column.ndim == 1 else column.T.tolist()


def _blocks(prediction: Prediction) -> Iterator[Prediction]:
    """The rows some at a time: as Python's objects they take twenty times their space."""
    count = len(next(iter(prediction.values())))
    if count <= BLOCK_ROWS:
        yield prediction
        return
    for start in range(0, count, BLOCK_ROWS):
        yield {name: column[start : start + BLOCK_ROWS] for name, column in prediction.items()}


def _records(prediction: Prediction) -> list[dict[str, Any]]:
    columns = [column.tolist() for column in prediction.values()]
    return [dict(zip(prediction, row, strict=True)) for row in zip(*columns, strict=True)]


DECODERS: Mapping[str, Callable[[bytes, int, float | None], Rows]] = {
    CSV: decode_csv,
    LIBSVM: decode_libsvm,
    JSON: decode_json,
    JSON_LINES: decode_json_lines,
    RECORDIO: decode_recordio,
}
ENCODERS: Mapping[str, Callable[[Prediction], bytes]] = {
    JSON: encode_json,
    JSON_LINES: encode_json_lines,
    CSV: encode_csv,
    RECORDIO: encode_recordio,
}
