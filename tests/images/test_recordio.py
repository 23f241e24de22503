"""RecordIO-protobuf, held against what Google's protobuf package writes and reads."""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit import recordio
from toolkit.recordio import BadRecord, encode

from tests.images.record import Record, frame, framed, labels_in, parsed, record_of


def decode(body: bytes) -> Any:
    return recordio.decode(body)


BEYOND_INT32 = record_of([2**31 - 1], kind="int32").SerializeToString().replace(b"\xff\x07", b"\xff\x0f")


@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
@pytest.mark.parametrize("labelled", [True, False])
def test_dense_rows_of_every_type_are_read(kind: Any, labelled: Any) -> None:
    rows = [[1, -2, 300], [4, 5, -2147483648], [0, 0, 2147483647]]
    records = [record_of(row, [row[0]] if labelled else [], kind=kind) for row in rows]
    labels, features = decode(framed(*records))
    np.testing.assert_array_equal(features, np.array(rows, np.float32 if kind == "float32" else float))
    assert labels is None if not labelled else labels.tolist() == [1, 4, 0]


def test_records_laid_out_unlike_each_other_are_read_the_same() -> None:
    named = record_of([3, 4], [1])
    named.uid, named.metadata = "row-2", "{}"
    named.label["weight"].float32_tensor.values.append(9)
    other_type = record_of([5, 6], [0], kind="float64", shape=[2])
    labels, features = decode(framed(record_of([1, 2], [1]), named, other_type))
    assert (labels.tolist(), features.tolist()) == ([1, 1, 0], [[1, 2], [3, 4], [5, 6]])


@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
def test_sparse_rows_are_read(kind: Any) -> None:
    labels, sparse = decode(
        framed(
            record_of([7, 8], [1], kind=kind, keys=[0, 299], shape=[300]),
            record_of([], [0], kind=kind, shape=[300]),
            record_of([-5], [1], kind=kind, keys=[128], shape=[300]),
        )
    )
    assert (labels.tolist(), sparse.width) == ([1, 0, 1], 300)
    expected = np.zeros((3, 300))
    expected[0, [0, 299]], expected[2, 128] = [7, 8], -5
    np.testing.assert_array_equal(sparse.dense(width=300, absent=0.0), expected)
    np.testing.assert_array_equal(sparse.csr(width=300).toarray(), expected)


def test_record_that_holds_the_magic_number_comes_in_parts() -> None:
    payload = record_of([1, struct.unpack("<f", struct.pack("<I", 0xCED7230A))[0]], [1]).SerializeToString()
    before, after = payload.split(struct.pack("<I", 0xCED7230A))
    labels, features = decode(frame(before, 1) + frame(after, 3) + framed(record_of([2, 3], [0])))
    assert labels.tolist() == [1, 0]
    assert features[0].astype(np.float32).tobytes().endswith(struct.pack("<I", 0xCED7230A))
    assert features[1].tolist() == [2, 3]


def test_what_is_written_is_read_by_protobuf_and_by_ourselves() -> None:
    scores, vectors = np.array([0.25, 1e-3]), np.arange(600.0).reshape(2, 300)
    assert labels_in(encode({}, {"score": scores, "predicted_label": np.array([1, 0]), "vector": vectors})) == [
        {"score": [0.25], "predicted_label": [1], "vector": vectors[0].tolist()},
        {"score": [float(np.float32(1e-3))], "predicted_label": [0], "vector": vectors[1].tolist()},
    ]
    body = encode({"values": vectors}, {"values": scores})
    assert [list(record.features["values"].float32_tensor.values) for record in parsed(body)] == vectors.tolist()
    labels, features = decode(body)
    np.testing.assert_array_equal(labels, scores.astype(np.float32))
    np.testing.assert_array_equal(features, vectors)


def test_rows_laid_out_alike_are_read_as_one() -> None:
    rows = np.random.default_rng(0).normal(size=(50_000, 20)).astype(np.float32)
    body = encode({"values": rows}, {"values": rows[:, 0]})
    started_at = time.process_time()
    _, features = decode(body)
    assert time.process_time() - started_at < 1.5, "one by one this takes seconds"
    np.testing.assert_array_equal(features, rows)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"1,2,3,4,5", "record 1: does not start with RecordIO's magic number"),
        (framed(record_of([1])) + b"\n1,2,3,4,5", "record 2: does not start with RecordIO's magic number"),
        (framed(record_of([1]), record_of([2]))[:-3], "record 2: ends too early"),
        (framed(record_of([1]), Record(uid="1")), "record 2: has no features 'values'"),
        (framed(record_of([1], [1, 2])), "record 1: a label of 2 values"),
        (framed(record_of([1], [1]), record_of([1])), "record 2: some records have a label, some have none"),
        (framed(record_of([1, 2]), record_of([1])), "record 2: 1 features, but the records before have 2"),
        (framed(record_of([1, 2], keys=[1], shape=[3])), "record 1: 1 keys, but 2 values"),
        (framed(record_of([1], keys=[3], shape=[3])), "record 1: key 3 lies outside its shape, 3"),
        (framed(record_of([1], keys=[0], shape=[1]), record_of([1])), "record 2: dense, but records before are sparse"),
        (framed(record_of([1]), record_of([1], keys=[0], shape=[1])), "record 1: dense, but records after it are"),
        (framed(b"hello world"), "record 1: not a Record message"),
        (framed(BEYOND_INT32), "record 1: a whole number that is beyond int32"),
    ],
)
def test_stream_that_is_wrong_is_placed(body: Any, problem: Any) -> None:
    with pytest.raises(BadRecord) as refused:
        decode(body)
    assert str(refused.value).startswith(problem)


@given(st.binary(max_size=60), st.integers(0, 200), st.binary(max_size=3))
def test_no_bytes_whatever_raise_another_error(payload: bytes, place: int, noise: bytes) -> None:
    good = record_of([1, 2, 3], [1], keys=[1, 2, 200], shape=[300]).SerializeToString()
    mutated = good[: place % len(good)] + noise + good[place % len(good) + len(noise) :]
    for body in (payload, framed(payload), framed(mutated), framed(mutated)[:place]):
        try:
            decode(body)
        except BadRecord:
            continue
