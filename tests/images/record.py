"""SageMaker's Record message as Google's protobuf package writes and reads it, to hold our own reader against."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

OPTIONAL, REPEATED = 1, 3
TYPES = {"double": 1, "float": 2, "uint64": 4, "int32": 5, "string": 9, "message": 11, "bytes": 12}


def _record_class() -> Any:
    """The class of SageMaker's record.proto (package aialgs.data), which is published in its Python SDK."""
    file = descriptor_pb2.FileDescriptorProto(name="record.proto", package="aialgs.data", syntax="proto2")
    for name, kind in (("Float32Tensor", "float"), ("Float64Tensor", "double"), ("Int32Tensor", "int32")):
        tensor = file.message_type.add(name=name)
        for number, (field, field_kind) in enumerate((("values", kind), ("keys", "uint64"), ("shape", "uint64")), 1):
            tensor.field.add(name=field, number=number, label=REPEATED, type=TYPES[field_kind]).options.packed = True
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="value")
    for name, number, kind in (("float32", 2, "Float32"), ("float64", 3, "Float64"), ("int32", 7, "Int32")):
        value.field.add(
            name=f"{name}_tensor",
            number=number,
            label=OPTIONAL,
            type=TYPES["message"],
            type_name=f".aialgs.data.{kind}Tensor",
            oneof_index=0,
        )
    record = file.message_type.add(name="Record")
    for number, (name, entry_name) in enumerate((("features", "FeaturesEntry"), ("label", "LabelEntry")), 1):
        entry = record.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=OPTIONAL, type=TYPES["string"])
        entry.field.add(name="value", number=2, label=OPTIONAL, type=TYPES["message"], type_name=".aialgs.data.Value")
        type_name = f".aialgs.data.Record.{entry_name}"
        record.field.add(name=name, number=number, label=REPEATED, type=TYPES["message"], type_name=type_name)
    for number, name in ((3, "uid"), (4, "metadata"), (5, "configuration")):
        record.field.add(name=name, number=number, label=OPTIONAL, type=TYPES["string"])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("aialgs.data.Record"))


Record = _record_class()


def record_of(values: Any, label: Any = (), *, kind: str = "float32", keys: Any = (), shape: Any = ()) -> Any:
    """A Record with one row of features and its label."""
    record = Record()
    tensor = getattr(record.features["values"], f"{kind}_tensor")
    tensor.values.extend(values)
    tensor.keys.extend(keys)
    tensor.shape.extend(shape)
    for number in label:
        getattr(record.label["values"], f"{kind}_tensor").values.append(number)
    return record


def framed(*records: Any) -> bytes:
    """Records, or bytes, as a RecordIO stream."""
    payloads = [record if isinstance(record, bytes) else record.SerializeToString() for record in records]
    return b"".join(frame(payload) for payload in payloads)


def frame(payload: bytes, part: int = 0) -> bytes:
    return struct.pack("<II", 0xCED7230A, part << 29 | len(payload)) + payload + b"\0" * (-len(payload) % 4)


def parsed(body: bytes) -> Iterator[Any]:
    """The Records of a RecordIO stream."""
    while body:
        magic, length = struct.unpack_from("<II", body)
        assert magic == 0xCED7230A
        yield Record.FromString(body[8 : 8 + length])
        body = body[8 + length + -length % 4 :]


def rows_as_records(features: Any, labels: Any) -> bytes:
    return framed(*(record_of(row, [label], kind="float64") for row, label in zip(features, labels, strict=True)))


def labels_in(body: bytes) -> list[dict[str, list[float]]]:
    """The label map of each record of an answer."""
    return [{name: list(value.float32_tensor.values) for name, value in r.label.items()} for r in parsed(body)]
