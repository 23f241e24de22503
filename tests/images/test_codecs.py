"""The default codecs: what other servers' JSON becomes, and bodies that ask for more memory than there is."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.sparse
from toolkit import limits
from toolkit.codecs import CodecError, decode, dense

from tests.images.test_fuzz import imported, saved

JSON, CSV, NPY, NPZ = "application/json", "text/csv", "application/x-npy", "application/x-npz"
TABLE = pandas.DataFrame({"a": [1, 3], "b": [2, 4]})


@pytest.fixture
def little_memory(monkeypatch: Any) -> Iterator[None]:
    monkeypatch.setenv(limits.VARIABLE, str(32 * 2**20))
    limits.memory_bytes.cache_clear()
    yield
    limits.memory_bytes.cache_clear()


@pytest.mark.parametrize(
    "document",
    [
        [[1, 2], [3, 4]],
        {"instances": [[1, 2], [3, 4]]},
        {"instances": [{"features": [1, 2]}, {"data": {"features": {"values": [3, 4]}}}]},
        {"inputs": [[1, 2], [3, 4]], "parameters": {}},
    ],
)
def test_json_may_wrap_its_array_as_other_servers_have_it(document: Any) -> None:
    for text in (json.dumps(document), "\ufeff" + json.dumps(document)):
        np.testing.assert_array_equal(decode(text, JSON), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]], "index": [0, 1]}},
        {"dataframe_records": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]},
        {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
    ],
)
def test_json_with_named_columns_is_a_table(document: Any) -> None:
    pandas.testing.assert_frame_equal(decode(json.dumps(document), JSON), TABLE)
    np.testing.assert_array_equal(dense(decode(json.dumps(document), JSON)), TABLE.to_numpy())


def test_json_may_name_its_arrays() -> None:
    decoded = decode('{"inputs": {"a": [1, 2], "b": [[3]]}}', JSON)
    assert {name: array.tolist() for name, array in decoded.items()} == {"a": [1, 2], "b": [[3]]}


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        ('{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', JSON, "a value for each of the 1 columns"),
        ('{"dataframe_split": [1]}', JSON, "columns and data"),
        ('{"dataframe_records": [1]}', JSON, "a list of objects"),
        ('{"instances": 5}', JSON, '"instances" holds a list'),
        ("[" * 100_000, JSON, "recursion"),
        ("[[1], [2, 3]]", JSON, "inhomogeneous"),
        ("a" * 200_000 + ",1", CSV, "field limit"),
        (b"\x93NUMPY\x01\x00\x01\x00{", NPY, "is not application/x-npy as expected"),
        (b"PK\x03\x04", NPZ, "not a zip file"),
    ],
)
def test_whatever_a_parser_raises_is_the_bodys_fault(body: Any, content_type: str, message: str) -> None:
    with pytest.raises(CodecError, match=message) as refused:
        decode(body, content_type)
    assert refused.value.status_code == 415


def npy(shape: str, dtype: str = "<f8", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npz_of_zeros(size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(size))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (npy("(1000000000000,)"), NPY),
        (npy("(1000000000, 0)"), NPY),
        (npy("(1000000000,)", "|V0"), NPY),
        (npz_of_zeros(100 * 2**20), NPZ),
        ("[" + ",".join(["[]"] * 500_000) + "]", JSON),
        (json.dumps({"dataframe_records": [{f"c{n}": n} for n in range(5000)]}), JSON),
        ("a,1\n" * 500_000, CSV),
        ("," * 3_000_000, CSV),
    ],
)
def test_a_body_that_would_not_fit_in_memory_is_refused(body: Any, content_type: str, little_memory: None) -> None:
    with pytest.raises(CodecError, match=r"would take|its header says") as refused:
        decode(body, content_type)
    assert refused.value.status_code == 415


def test_a_wide_sparse_matrix_is_not_made_dense(little_memory: None) -> None:
    wide = scipy.sparse.coo_matrix(([1.0], ([0], [10**9])), shape=(1, 10**9 + 1))
    with pytest.raises(CodecError, match="would take"):
        dense(decode(saved(scipy.sparse.save_npz, wide), NPZ))


def test_one_long_text_does_not_make_every_field_as_long() -> None:
    for body, content_type in (
        ("a," + "b" * 100_000 + "\n" + "c,d\n" * 50_000, CSV),
        (json.dumps([["a", "b" * 100_000]] + [["c", "d"]] * 50_000), JSON),
    ):
        table = decode(body, content_type)
        assert (table.dtype, table.shape, len(table[0, 1])) == (np.dtype(object), (50_001, 2), 100_000)


def test_a_quoted_comma_separates_no_columns() -> None:
    assert decode('"1,5",2', CSV).tolist() == [["1,5", "2"]]
    assert decode('"1",\n,2', CSV).tolist()[0][0] == 1.0


def test_fourteen_bytes_of_libsvm_take_no_gigabytes(tmp_path: Any) -> None:
    from tests.images.test_fuzz import booster_in

    handlers = imported("xgboost", "xgboost_handlers")
    booster = handlers.model_fn(str(booster_in(tmp_path)))
    for body in ("0:1 999999999:1", "1 9999999999999999999:1"):
        with pytest.raises(CodecError, match=r"expected 3 features, got 1000000000|index 9+ is more than"):
            handlers.predict_fn(handlers.input_fn(body, "text/libsvm"), booster)


def test_dense_rows_of_a_sparse_request_are_bounded_by_the_memory(little_memory: None) -> None:
    from toolkit.formats import decode_libsvm

    with pytest.raises(ValueError, match="1000 sparse rows of 100000 columns, made dense, would take 762 MiB"):
        decode_libsvm(b"0:1\n" * 1000, 100_000, 0.0)
