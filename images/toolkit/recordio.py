"""SageMaker's `application/x-recordio-protobuf`: rows of numbers to bytes, and back.

A stream of RecordIO frames (as in MXNet: a magic number, a length, the record, padding to four
bytes), each with one `Record` message of SageMaker's record.proto: two maps, `features` and `label`,
from a name to a tensor of float32, float64 or int32. A tensor with keys is sparse. Only these two maps of a
record are read, and of its features only `values`.

Rows with the same layout, as every writer of dense rows makes them, are parsed as one array; others one by one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolkit.rows import LARGEST_COLUMN, FloatArray, SparseRows

Bytes: TypeAlias = memoryview

MAGIC = 0xCED7230A
HEADER = struct.Struct("<II")
LENGTH_BITS = 29  # of the header's second word; the other three say whether a record continues in the next frame
WHOLE, FIRST_PART, LAST_PART = 0, 1, 3

VALUES = "values"  # the key of a row's features, and of its label
FEATURES_FIELD, LABEL_FIELD = 1, 2
FLOAT32, FLOAT64, INT32 = 2, 3, 7  # the fields of a Value
TYPES: Mapping[int, np.dtype[Any]] = {FLOAT32: np.dtype("<f4"), FLOAT64: np.dtype("<f8")}
MOST_NEGATIVE = -(2**31)  # of int32
VARINT, EIGHT_BYTES, MESSAGE, FOUR_BYTES = 0, 1, 2, 5


class BadRecord(ValueError):
    """A record that cannot be read, and why."""

    def __init__(self, record_number: int, reason: str) -> None:
        super().__init__(f"record {record_number}: {reason}")
        self.record_number = record_number
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Where a tensor's parts lie in its record."""

    kind: int
    values: slice
    keys: slice
    shape: slice


def decode(body: bytes) -> tuple[FloatArray | None, FloatArray | SparseRows]:
    """Labels of shape (rows,), None where no record has one, and features. Raises BadRecord."""
    return rows_of(whole(body))


def whole(body: bytes) -> list[Bytes]:
    """The records of a stream that has come to its end. Raises BadRecord."""
    records, end = split(body)
    if end < len(body):
        raise BadRecord(len(records) + 1, "ends too early")
    return records


def split(data: bytes, first_record: int = 1) -> tuple[list[Bytes], int]:
    """The whole records at the start of `data`, and where the rest of it begins. Raises BadRecord."""
    view = memoryview(data)
    records: list[Bytes] = []
    parts: list[Bytes] = []
    position = end_of_records = 0
    while position + HEADER.size <= len(data):
        magic, word = HEADER.unpack_from(data, position)
        if magic != MAGIC:
            raise BadRecord(first_record + len(records), "does not start with RecordIO's magic number")
        part, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
        start = position + HEADER.size
        position = start + length + -length % 4
        if position > len(data):
            break
        parts.append(view[start : start + length])
        if part in (WHOLE, LAST_PART):
            # Writers cut a record where it holds the magic number itself, and leave that out.
            records.append(parts[0] if part == WHOLE else memoryview(struct.pack("<I", MAGIC).join(parts)))
            parts, end_of_records = [], position
    return records, end_of_records


def rows_of(records: Sequence[Bytes], first_record: int = 1) -> tuple[FloatArray | None, FloatArray | SparseRows]:
    """Labels and features of Record messages, as `decode` gives them. Raises BadRecord."""
    return _rows_of_one_layout(records) or _rows_one_by_one(records, first_record)


def _rows_of_one_layout(records: Sequence[Bytes]) -> tuple[FloatArray | None, FloatArray] | None:
    """All rows at once, if they differ in nothing but the numbers of dense float tensors."""
    if len({len(record) for record in records}) != 1:
        return None
    try:
        features, label = _tensors(records[0])
    except ValueError:
        return None
    tensors = [tensor for tensor in (features, label) if tensor]
    if not features or any(tensor.kind == INT32 or tensor.keys.stop for tensor in tensors):
        return None
    if label and _size(label.values) != TYPES[label.kind].itemsize:
        return None
    if _size(features.values) % TYPES[features.kind].itemsize:
        return None
    matrix = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), -1)
    fixed = np.ones(matrix.shape[1], bool)
    for tensor in tensors:
        fixed[tensor.values] = False
    if (matrix[:, fixed] != matrix[0, fixed]).any():
        return None
    columns = [
        np.ascontiguousarray(matrix[:, tensor.values]).view(TYPES[tensor.kind]).astype(np.float64) for tensor in tensors
    ]
    return (columns[1][:, 0] if label else None), columns[0]


def _size(place: slice) -> int:
    size: int = place.stop - place.start
    return size


def _rows_one_by_one(records: Sequence[Bytes], first_record: int) -> tuple[FloatArray | None, FloatArray | SparseRows]:
    sparse = SparseRows()
    dense: list[FloatArray] = []
    has_labels = False
    for number, record in enumerate(records, first_record):
        try:
            features, label = _tensors(record)
            if features is None:
                raise ValueError(f"has no features {VALUES!r}")
            if number > first_record and has_labels != (label is not None):
                raise ValueError("some records have a label, some have none")
            has_labels = label is not None
            sparse.labels.append(_label(record, label) if label else math.nan)
            values = _numbers(record, features)
            if features.keys.stop or (features.shape.stop and not len(values)):
                sparse.add_row(*_entries(record, features, values))
                continue
            if dense and len(values) != len(dense[0]):
                raise ValueError(f"{len(values)} features, but the records before have {len(dense[0])}")
            dense.append(values)
        except ValueError as error:
            raise BadRecord(number, str(error)) from error
        if sparse.lengths:
            raise BadRecord(number, "dense, but records before are sparse")
    if dense and sparse.lengths:
        raise BadRecord(first_record, "dense, but records after it are sparse")
    labels = np.array(sparse.labels) if has_labels else None
    return labels, (sparse if sparse.lengths else np.vstack(dense or [np.empty((0, 0))]))


def _label(record: Bytes, tensor: _Tensor) -> float:
    values = _numbers(record, tensor)
    if len(values) != 1:
        raise ValueError(f"a label of {len(values)} values")
    return float(values[0])


def _entries(record: Bytes, tensor: _Tensor, values: FloatArray) -> tuple[NDArray[np.int64], FloatArray, int]:
    """Columns, values and width of a sparse row."""
    keys = _varints(record[tensor.keys])
    width = math.prod(_varints(record[tensor.shape]).tolist()) if tensor.shape.stop else 0
    if not 0 <= width <= LARGEST_COLUMN:
        raise ValueError(f"shape {width} is not from 0 to {LARGEST_COLUMN}")
    if len(keys) != len(values):
        raise ValueError(f"{len(keys)} keys, but {len(values)} values")
    if len(keys) and (keys.min() < 0 or (width and keys.max() >= width)):
        raise ValueError(f"key {keys.max()} lies outside its shape, {width}")
    return keys, values, width


def _tensors(record: Bytes) -> tuple[_Tensor | None, _Tensor | None]:
    """Features and label of a record."""
    found: dict[int, _Tensor] = {}
    for number, place in _messages(record, slice(0, len(record))):
        if number not in (FEATURES_FIELD, LABEL_FIELD):
            continue
        entry = dict(_messages(record, place))
        if 1 in entry and bytes(record[entry[1]]) == VALUES.encode() and 2 in entry:
            found[number] = _tensor(record, entry[2])
    return found.get(FEATURES_FIELD), found.get(LABEL_FIELD)


def _tensor(record: Bytes, value: slice) -> _Tensor:
    nothing = slice(0, 0)
    for kind, place in _messages(record, value):
        if kind in (FLOAT32, FLOAT64, INT32):
            parts = dict(_messages(record, place))
            return _Tensor(kind, parts.get(1, nothing), parts.get(2, nothing), parts.get(3, nothing))
    raise ValueError("holds no tensor of float32, float64 or int32")


def _messages(record: Bytes, place: slice) -> Iterator[tuple[int, slice]]:
    """Number and place of each field with a length: texts, messages, packed numbers. Raises ValueError."""
    position, end = place.start, place.stop
    while position < end:
        tag, position = _varint(record, position)
        kind, length = tag & 7, 0
        if kind == MESSAGE:
            length, position = _varint(record, position)
        elif kind == VARINT:
            _, position = _varint(record, position)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            position += 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError("not a Record message")
        if position + length > end:
            raise ValueError("not a Record message: a field is longer than its message")
        if kind == MESSAGE:
            yield tag >> 3, slice(position, position + length)
            position += length


def _varint(record: Bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and where it ends."""
    number = 0
    for shift, byte in zip(range(0, 70, 7), record[position : position + 10], strict=False):
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position + shift // 7 + 1
    raise ValueError("not a Record message: a number without an end")


def _numbers(record: Bytes, tensor: _Tensor) -> FloatArray:
    data = record[tensor.values]
    if tensor.kind == INT32:
        whole_numbers = _varints(data)
        if len(whole_numbers) and not MOST_NEGATIVE <= whole_numbers.min() <= whole_numbers.max() < -MOST_NEGATIVE:
            raise ValueError("a whole number that is beyond int32")
        return whole_numbers.astype(np.float64)
    return np.frombuffer(data, TYPES[tensor.kind]).astype(np.float64)


def _varints(data: Bytes) -> NDArray[np.int64]:
    """Packed whole numbers: seven bits a byte, lowest first, the highest bit set in all but a number's last byte."""
    digits = np.frombuffer(data, np.uint8)
    is_last = digits < 0x80
    if is_last.all():
        return digits.astype(np.int64)
    ends = np.flatnonzero(is_last) + 1
    if not is_last[-1] or np.diff(ends, prepend=0).max() > 10:
        raise ValueError("not a Record message: a number without an end")
    starts = np.concatenate([[0], ends[:-1]])
    places = np.arange(len(digits)) - np.repeat(starts, ends - starts)
    parts = (digits & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.add.reduceat(parts, starts).view(np.int64)


def encode(features: Mapping[str, NDArray[Any]], labels: Mapping[str, NDArray[Any]]) -> bytes:
    """A record a row; columns of shape (rows,) or (rows, n) become float32 tensors, as SageMaker writes them."""
    pieces: list[tuple[bytes, NDArray[np.uint8]]] = []
    for field, columns in ((FEATURES_FIELD, features), (LABEL_FIELD, labels)):
        for name, column in columns.items():
            values = np.ascontiguousarray(column, TYPES[FLOAT32]).reshape(len(column), -1).view(np.uint8)
            pieces.append((_up_to_values(field, name.encode(), values.shape[1]), values))
    length = sum(len(start) + values.shape[1] for start, values in pieces)
    frames = np.zeros((len(pieces[0][1]), HEADER.size + length + -length % 4), np.uint8)
    position = HEADER.size
    frames[:, :position] = np.frombuffer(HEADER.pack(MAGIC, length), np.uint8)
    for start, values in pieces:
        for part in (np.frombuffer(start, np.uint8), values):
            frames[:, position : position + part.shape[-1]] = part
            position += part.shape[-1]
    return frames.tobytes()


def _up_to_values(field: int, name: bytes, size: int) -> bytes:
    """What stands in a record before `size` bytes of a map's float32 values."""
    start = _field(1, size)  # Float32Tensor.values
    for number, before in ((FLOAT32, b""), (2, _field(1, len(name)) + name), (field, b"")):
        start = before + _field(number, len(start) + size) + start
    return start


def _field(number: int, length: int) -> bytes:
    """The start of a field with a length."""
    head = bytearray([number << 3 | MESSAGE])
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)
