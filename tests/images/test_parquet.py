"""Parquet by the names of its columns: whichever their order, and without those that are pandas' index."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

from tests.images.channels import as_parquet, refusal, tables_of

ROWS: dict[str, list[float]] = {"y": [0, 1, 1], "a": [1.5, 2, 3], "b": [4, 5, 6]}
FEATURES = [[1.5, 4], [2, 5], [3, 6]]
INDEX = "__index_level_0__"


@pytest.mark.parametrize(
    ("columns", "index"),
    [
        (ROWS, ()),
        (ROWS | {INDEX: [2, 0, 1]}, (INDEX,)),
        ({"id": [7, 8, 9]} | ROWS, ("id",)),
        ({"day": ["mon", "tue", "wed"]} | ROWS | {INDEX: [2, 0, 1]}, ("day", INDEX)),
        (ROWS | {INDEX: [2, 0, 1]}, None),  # a program after pandas has dropped its description
    ],
)
def test_columns_of_pandas_index_are_no_data(columns: Any, index: Any, tmp_path: Path) -> None:
    table = tables_of(tmp_path, train={"part-0.parquet": as_parquet(columns, index=index)})["train"]
    np.testing.assert_array_equal(table.features, FEATURES)
    assert (table.labels.tolist(), table.names) == ([0, 1, 1], ("a", "b"))


def test_a_range_that_pandas_only_describes_is_no_column(tmp_path: Path) -> None:
    described: Any = ({"kind": "range", "name": None, "start": 0, "stop": 3, "step": 1},)
    table = tables_of(tmp_path, train={"part-0.parquet": as_parquet(ROWS, index=described)})["train"]
    np.testing.assert_array_equal(table.features, FEATURES)


def test_columns_are_found_by_name_in_every_file_and_channel(tmp_path: Path) -> None:
    turned = as_parquet({name: ROWS[name] for name in ("b", "y", "a")})
    tables = tables_of(
        tmp_path, train={"a.parquet": as_parquet(ROWS), "b.parquet": turned}, validation={"a.parquet": turned}
    )
    np.testing.assert_array_equal(tables["train"].features, FEATURES * 2)
    np.testing.assert_array_equal(tables["validation"].features, FEATURES)
    assert tables["validation"].labels.tolist() == [0, 1, 1]


def test_files_and_channels_with_other_columns_are_refused_with_both_lists(tmp_path: Path) -> None:
    other = as_parquet({"y": [1], "c": [2], "b": [3]})
    why = "its columns are y, c, b, but those of the first file are y, a, b"
    assert refusal(tmp_path / "1", train={"a.parquet": as_parquet(ROWS), "deep/b.parquet": other}) == (
        f"channel train: deep/b.parquet: row 1: {why}"
    )
    train, validation = {"a.parquet": as_parquet(ROWS)}, {"a.parquet": other}
    said = refusal(tmp_path / "2", train=train, validation=validation)
    assert said == f"channel validation: a.parquet: row 1: {why}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pyarrow.array([1, 2, 1]).dictionary_encode(), [1, 2, 1]),
        (pyarrow.array([Decimal("1.50"), Decimal(2), Decimal(3)]), [1.5, 2, 3]),
        (pyarrow.array([True, False, True]), [1, 0, 1]),
        (pyarrow.array([2**53, -(2**53), 0], "int64"), [2.0**53, -(2.0**53), 0]),
        (pyarrow.array([1.5, 2, 3], "float16"), [1.5, 2, 3]),
    ],
)
def test_every_kind_of_number_is_read(values: Any, expected: Any, tmp_path: Path) -> None:
    table = tables_of(tmp_path, train={"a.parquet": as_parquet({"y": [0, 1, 1], "a": values})})["train"]
    np.testing.assert_array_equal(table.features[:, 0], expected)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["x", "y", "z"], ": row 1: column 'a' holds string, not numbers"),
        (pyarrow.array(["x", "y", "x"]).dictionary_encode(), ": row 1: column 'a' holds string, not numbers"),
        (pyarrow.array([1, 2, 3], "timestamp[ms]"), ": row 1: column 'a' holds timestamp[ms], not numbers"),
        ([[1], [2], [3]], ": row 1: column 'a' holds list<element: int64>, not numbers"),
        ([1, 2, 2**53 + 1], ": row 1, column 2 (a): holds int64 that float64 cannot hold: Integer value"),
        (pyarrow.array([1, 2, 2**64 - 1], "uint64"), ": row 1, column 2 (a): holds uint64 that float64 cannot hold"),
        ([1, None, 3], ": row 2, column 2 (a) is empty or NaN"),
        ([1, 2, np.inf], ": row 3, column 2 (a) is inf, not a finite number"),
        ([1, -1e39, 2], ": row 2, column 2 (a) is -1e+39, which is beyond float32"),
    ],
)
def test_a_column_that_holds_something_else_is_named(values: Any, why: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, train={"a.parquet": as_parquet({"y": [0, 1, 1], "a": values})})
    assert said.startswith("channel train: a.parquet" + why)
