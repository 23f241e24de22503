"""What a training program makes of its channels: every format, from files and from a pipe."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Declaration
from toolkit.media import JSON_LINES, PARQUET, RECORDIO
from toolkit.training import Channel, Job

from tests.images.record import frame, framed, record_of, rows_as_records

LABELS = [1.0, 0.0, 1.0]
ROWS = [[1.5, 2.0, 0.0], [0.0, 4.25, 5.0], [7.0, 0.0, 9.0]]
UNLABELLED = InputFormat(needs_labels=False)


def as_csv(rows: Any = ROWS, labels: Any = LABELS) -> bytes:
    return "".join(",".join(map(str, [label, *row])) + "\n" for label, row in zip(labels, rows, strict=True)).encode()


def as_parquet(columns: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def as_json_lines(*instances: Any) -> bytes:
    return "".join(json.dumps(instance) + "\n" for instance in instances).encode()


LIBSVM = b"1 0:1.5 1:2\n0 1:4.25 2:5\n1 0:7 2:9\n"
SPARSE_RECORDS = framed(
    record_of([1.5, 2], [1], keys=[0, 1], shape=[3]),
    record_of([4.25, 5], [0], keys=[1, 2], shape=[3]),
    record_of([7, 9], [1], keys=[0, 2], shape=[3]),
)
PARQUET_FILE = as_parquet(
    {"label": [True, False, True], "a": [1.5, 0, 7], "b": pyarrow.array([2.0, 4.25, 0], "float32"), "c": [0, 5, 9]}
)
LINES = as_json_lines(*({"label": y, "features": row} for y, row in zip(LABELS, ROWS, strict=True)))
JSON_RECORDS = as_json_lines(
    {"data": {"features": {"keys": [0, 1], "shape": [3], "values": [1.5, 2]}, "label": {"values": [1]}}},
    {"data": {"features": {"keys": [1, 2], "shape": [3], "values": [4.25, 5]}}, "label": [0]},
    {"features": {"keys": [0, 2], "shape": [3], "values": [7, 9]}, "label": 1},
)
FILES = {
    "csv": ("text/csv", as_csv()),
    "libsvm": ("text/x-libsvm", LIBSVM),
    "dense records": (RECORDIO, rows_as_records(ROWS, LABELS)),
    "sparse records": (RECORDIO, SPARSE_RECORDS),
    "JSON lines": (JSON_LINES, LINES),
    "sparse JSON lines": (JSON_LINES, JSON_RECORDS),
    "Parquet": (PARQUET, PARQUET_FILE),
}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """`load(content_type, *files, input_format=, feature_dim=, pipe=)`: the table of channel train."""

    def load_table(
        content_type: str,
        *files: bytes,
        input_format: InputFormat = InputFormat(),  # noqa: B008 (frozen)
        feature_dim: int | None = None,
        pipe: bool = False,
        record_wrapped: bool = False,
    ) -> Table:
        mode = "Pipe" if pipe else "File"
        channel = Channel("train", tmp_path / "train", content_type, mode, record_wrapped=record_wrapped)
        channel.folder.mkdir(exist_ok=True)
        if pipe:
            fifo = tmp_path / "train_0"
            os.mkfifo(fifo)
            threading.Thread(target=fifo.write_bytes, args=(b"".join(files),), daemon=True).start()
        else:
            for number, content in enumerate(files):
                (channel.folder / f"part-{number}").write_bytes(content)
            (channel.folder / "_SUCCESS").touch()
        job = Job(Declaration(), {"train": channel}, Hosts(("algo-1",), "algo-1"), tmp_path, tmp_path / "data")
        return load_tables(job, ("train", "test"), input_format, feature_dim=feature_dim)["train"]

    return load_table


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_rows(load: Any, name: Any) -> None:
    content_type, content = FILES[name]
    table = load(content_type, content, content)
    np.testing.assert_array_equal(table.labels, LABELS * 2)
    np.testing.assert_array_equal(table.features, ROWS * 2)


@pytest.mark.parametrize("name", [name for name in FILES if name != "Parquet"])
def test_pipe_is_read_as_the_files_one_after_the_other(load: Any, name: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("toolkit.blocks.BLOCK_BYTES", 50)
    content_type, content = FILES[name]
    table = load(content_type, content, content, pipe=True)
    np.testing.assert_array_equal(table.labels, LABELS * 2)
    np.testing.assert_array_equal(table.features, ROWS * 2)


@pytest.mark.parametrize("name", [name for name in FILES if name != "Parquet"])
def test_files_may_come_through_a_pipe_each_in_a_record(load: Any, name: Any) -> None:
    content_type, content = FILES[name]
    table = load(content_type, frame(content.rstrip(b"\n")), frame(content), pipe=True, record_wrapped=True)
    np.testing.assert_array_equal(table.labels, LABELS * 2)
    np.testing.assert_array_equal(table.features, ROWS * 2)


def test_pipe_that_ends_within_a_record_is_said(load: Any) -> None:
    with pytest.raises(ClientError, match="train_0: record 1: ends too early"):
        load("text/csv", frame(as_csv())[:-4], pipe=True, record_wrapped=True)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("text/csv;label_size=0", as_csv()),
        ("application/x-parquet; label_size=0", PARQUET_FILE),
        (JSON_LINES, as_json_lines(*([y, *row] for y, row in zip(LABELS, ROWS, strict=True)))),
        (RECORDIO, framed(*(record_of([y, *r]) for y, r in zip(LABELS, ROWS, strict=True)))),
    ],
)
def test_rows_may_have_no_label_where_none_is_needed(load: Any, content_type: Any, content: Any) -> None:
    table = load(content_type, content, input_format=UNLABELLED, feature_dim=4)
    assert table.labels.shape == (0,)
    np.testing.assert_array_equal(table.features, np.column_stack([LABELS, ROWS]))
    with pytest.raises(ClientError, match="this algorithm learns from labels"):
        load(content_type, content)


def test_sparse_rows_stay_sparse_on_request(load: Any) -> None:
    for content_type, content in (FILES["libsvm"], FILES["sparse records"], FILES["sparse JSON lines"]):
        table = load(content_type, content, input_format=InputFormat(keep_sparse=True), feature_dim=10**9)
        assert (table.features.shape, table.features.nnz) == ((3, 10**9), 6)
        np.testing.assert_array_equal(table.features[:, :3].toarray(), ROWS)


def test_missing_values_are_kept_for_who_can_take_them(load: Any) -> None:
    allowing = InputFormat(allow_missing=True, absent=np.nan)
    expected = [[np.nan, 2], [3, np.nan]]
    for content_type, content in (
        ("text/csv", b"1,,2\n0,3,\n"),
        ("text/libsvm", b"1 1:2\n0 0:3\n"),
        (
            JSON_LINES,
            as_json_lines({"label": 1, "features": [None, 2]}, {"label": 0, "features": [3, None]}),
        ),
        (PARQUET, as_parquet({"y": [1, 0], "a": [None, 3], "b": [2, None]})),
        (RECORDIO, rows_as_records(expected, [1, 0])),
    ):
        np.testing.assert_array_equal(load(content_type, content, input_format=allowing).features, expected)


def test_files_of_a_channel_are_read_in_blocks_in_order(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("toolkit.blocks.BLOCK_BYTES", 16)
    folder = tmp_path / "train"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.csv").write_text("".join(f"{row},1\n" for row in range(20, 40)))
    (folder / "a.csv").write_bytes(b"\xef\xbb\xbf" + "\n".join(f"{row},0" for row in range(20)).encode())
    (folder / "deep/c.csv").write_text("40,2")
    (folder / "_SUCCESS").touch()
    job = Job(Declaration(), {"train": Channel("train", folder, "")}, Hosts(("one",), "one"), tmp_path, folder)
    np.testing.assert_array_equal(load_tables(job, ("train",), InputFormat())["train"].labels, range(41))


@pytest.mark.parametrize(
    ("content_type", "content", "message"),
    [
        ("image/png", b"1", "channel train: content type image/png is not read here; text/csv, text/libsvm, applic"),
        ("text/csv;label_size=2", b"1", "channel train: label_size=2: must be 0 or 1"),
        ("text/csv", b"1,2\n1,\n", "channel train: part-0:2, column 2 is empty"),
        ("text/csv", b"1,2\n,1\n", "channel train: part-0:2, column 1 is empty"),
        ("text/csv", b"1,2\n1,2,3\n", "channel train: part-0:2: 3 columns, but the rows before have 2"),
        ("text/csv", b"1,2,3,4\n", "hyperparameters: feature_dim=2, but the data has 3 features in channel train"),
        (
            "text/csv",
            b"1,2\n",
            "first column is taken for the label: text/csv;label_size=0 says that there is none",
        ),
        ("text/libsvm", b"1 2:3\n", "feature_dim=2, but the data has 3 features in channel train"),
        ("text/libsvm", b"0:3\n", "channel train: part-0:1: starts with '0:3', not with a label"),
        ("text/libsvm", b"1 0:1\n\n1 x:3\n", "channel train: part-0:3: 'x:3' is not index:value"),
        (
            JSON_LINES,
            b'{"label": 1, "features": [1, 2]}\n[1',
            "part-0:2: not an instance as expected: ",
        ),
        (
            JSON_LINES,
            b'{"label": "a", "features": [1, 2]}',
            "part-0:1: not an instance as expected: a label",
        ),
        (JSON_LINES, b"[1, 2]\n[1]\n", "part-0:2: not an instance as expected: 1 features, but the rows be"),
        (
            JSON_LINES,
            b'{"label": 1, "features": [1, 2]}\n[1, 2]\n',
            "part-0:2: not an instance as expected: so",
        ),
        (JSON_LINES, b'{"label": 1, "features": [1, null]}', "part-0:1, feature 2 is empty"),
        (
            JSON_LINES,
            b'{"label": 1, "features": [1, "a"]}',
            "part-0:1: not an instance as expected: 'a' is text, not a number",
        ),
        (RECORDIO, b"1,2,3,4\n", "part-0: record 1: does not start with RecordIO's magic"),
        (RECORDIO, SPARSE_RECORDS[:-1], "part-0: record 3: ends too early"),
        (
            RECORDIO,
            rows_as_records([[1, np.nan]], [0]),
            "part-0: record 1, feature 2 is empty",
        ),
        (PARQUET, b"1,2\n", "part-0: row 1: not a Parquet file"),
        (PARQUET, as_parquet({"y": [1], "a": ["x"], "b": [1]}), "column 'a' holds string, not numbers"),
        (
            PARQUET,
            as_parquet({"y": [1], "a": [None], "b": [1.0]}),
            "column 'a' holds null, not numbers",
        ),
        (
            PARQUET,
            as_parquet({"y": [1, 2], "a": [1, None], "b": [1, 1]}),
            "part-0: row 2, column 2 (a) is empty",
        ),
        (JSON_LINES, b'{"label": 1, "features": [1, 2]}\n[1, 2]', "part-0:2: some rows have a label, some"),
        (JSON_LINES, b"[1, 2]\n[1]", "part-0:2: 1 features, but the rows before have 2"),
        (JSON_LINES, b'[1]\n{"features": {"keys": [], "values": [], "shape": [1]}}', "some rows are dense"),
        ("text/csv", b"", "channel train has no rows"),
        (RECORDIO, b"", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said_and_placed(load: Any, content_type: Any, content: Any, message: Any) -> None:
    with pytest.raises(ClientError) as refused:
        load(content_type, content, input_format=UNLABELLED, feature_dim=2)
    assert message in str(refused.value)


def test_parquet_is_not_read_from_a_pipe(load: Any) -> None:
    with pytest.raises(ClientError, match="Parquet files cannot be read from a pipe; use input mode File"):
        load(PARQUET, b"", pipe=True)


def test_hosts_refuse_weights_that_only_some_of_them_have(make_tree: Any, run_hosts: Any) -> None:
    hosts = ("algo-1", "algo-2")
    trees = [
        make_tree("xgboost", {"num_round": 1}, {"train": rows}, content_type="text/libsvm", host=host, hosts=hosts)
        for host, rows in zip(hosts, ("1:2 0:1\n0:1 0:2\n", "1 0:1\n0 0:2\n"), strict=True)
    ]
    assert [code for code, _ in run_hosts(trees)] == [1, 1]
    expected = "ClientError: algo-2: channel train: some rows have a weight, some have none\n"
    assert [tree.failure for tree in trees] == [expected, expected]
