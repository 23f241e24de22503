"""Which files of a channel are read, and as what."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toolkit.data import InputFormat
from toolkit.media import LIBSVM, OF_SUFFIXES, media_type_of_file
from toolkit.training import is_hidden

from sagespec.inputs.channels import is_hidden as is_hidden_in_pipes
from sagespec.resolve.content_types import OF_SUFFIXES as OF_SUFFIXES_OF_THE_PLATFORM
from sagespec.resolve.content_types import of_files
from tests.images.channels import as_parquet, refusal, tables_of
from tests.images.record import framed, record_of

XGBOOST = InputFormat(default_type=LIBSVM, keep_sparse=True)
ROWS = "1,2,3\n0,4,5\n"
HIDDEN = (
    ".x",
    "_x",
    ".ipynb_checkpoints/part-0-checkpoint.csv",
    "_temporary/0/a.csv",
    "a/_b/c.csv",
    "a/.b.crc",
    "_SUCCESS",
)
SEEN = ("x", "a/b_c.csv", "a.b/c-_d", "deep/er/part-0")  # fmt: skip


def test_hidden_files_and_folders_are_no_data(tmp_path: Path) -> None:
    table = tables_of(tmp_path, "text/csv", train=dict.fromkeys((*HIDDEN, *SEEN), ROWS))["train"]
    assert len(table.labels) == 2 * len(SEEN)


@pytest.mark.parametrize("name", HIDDEN + SEEN)
def test_files_and_pipes_leave_the_same_names_out(name: str) -> None:
    assert is_hidden(Path(name)) == is_hidden_in_pipes(name) == (name in HIDDEN)


@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("train.csv", ROWS, "text/csv"),
        ("TRAIN.CSV", ROWS, "text/csv"),
        ("train.csv.gz", gzip.compress(ROWS.encode(), mtime=0), "text/csv"),
        ("train.libsvm", "1 0:2 1:3\n0 0:4 1:5\n", "text/libsvm"),
        ("part-0.svm.gz", gzip.compress(b"1 0:2 1:3\n0 0:4 1:5\n", mtime=0), "text/libsvm"),
        ("train.jsonl", '{"label":1,"features":[2,3]}\n{"label":0,"features":[4,5]}', "application/jsonlines"),
        ("train.ndjson", '{"label":1,"features":[2,3]}\n{"label":0,"features":[4,5]}', "application/jsonlines"),
        ("train.parquet", as_parquet({"y": [1, 0], "a": [2, 4], "b": [3, 5]}), "application/x-parquet"),
        ("train.pbr", framed(record_of([2, 3], [1]), record_of([4, 5], [0])), "application/x-recordio-protobuf"),
        ("recordio-pb-data", framed(record_of([2, 3], [1]), record_of([4, 5], [0])), "application/x-recordio-protobuf"),
        ("part-0", "1 0:2 1:3\n0 0:4 1:5\n", "text/libsvm"),  # XGBoost's own default
    ],
)
def test_a_channel_without_content_type_is_what_its_files_are_called(
    name: str, content: bytes | str, content_type: str, tmp_path: Path
) -> None:
    table = tables_of(tmp_path, "", XGBOOST, train={name: content, "_SUCCESS": b"", ".x.csv": b"?"})["train"]
    rows = table.features if isinstance(table.features, np.ndarray) else table.features.toarray()
    assert (rows.tolist(), table.labels.tolist(), table.content_type) == ([[2, 3], [4, 5]], [1, 0], content_type)


def test_names_that_disagree_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, "", XGBOOST, train={"a.csv": ROWS, "b.libsvm": "1 0:2\n", "c": ""})
    assert said == (
        "channel train: by their names, its files mix CSV (a.csv) and libsvm (b.libsvm); keep one kind in the folder, "
        "or say which all are with content_type"
    )


@pytest.mark.parametrize(
    "name", ["a.csv", "A.CSV.gz", "x/part.svm", "a.parquet.gz", "a.rec", "csv", "a.csv.bak", "a.txt", ""]
)
def test_the_platform_and_the_programs_read_names_alike(name: str) -> None:
    assert of_files([name]) == (media_type_of_file(name) or "")
    assert OF_SUFFIXES == OF_SUFFIXES_OF_THE_PLATFORM


def test_what_gzip_packs_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    table = tables_of(tmp_path, "text/csv", train={"a": gzip.compress(ROWS.encode(), mtime=0), "b": ROWS})["train"]
    assert table.labels.tolist() == [1, 0, 1, 0]
    for content in (gzip.compress(ROWS.encode() * 99)[:40], b"\x1f\x8b\x08" + bytes(30)):
        said = refusal(tmp_path / "damaged", "text/csv", train={"a": content})
        assert said.startswith("channel train: a:1: a gzip file that cannot be unpacked: ")


def test_a_small_file_that_unpacks_to_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.limits.memory_bytes", lambda: 2**20)
    said = refusal(tmp_path, "text/csv", train={"a.csv.gz": gzip.compress(b"1,2\n" * 2**20)})
    assert said.startswith("channel train: a.csv.gz: the file, unpacked, would take ")


@pytest.mark.parametrize(
    ("names", "contents", "ends", "said"),
    [
        (
            ("a.parquet", "b.parquet"),
            ({"y": [1, 2, 4], "a": [1, 2, 3], "b": [0, 1, 0]}, {"b": [1, 0], "y": [3, 5], "a": [2, 6]}),
            0,
            "train: 2 files, 5 rows, 2 features: a, b",
        ),
        (
            ("a.parquet", "b.parquet"),
            ({"y": [1, 2], "a": [1, 2]}, {"y": [3, 5], "c": [2, 6]}),
            1,
            "algo-2: channel train: b.parquet: row 1: its columns are y, c, but those of the first file are y, a",
        ),
        (
            ("a.csv", "b.libsvm"),
            ("1,2\n2,3\n", "1 0:2\n"),
            1,
            "algo-2: channel train: by their names, its files mix libsvm (b.libsvm) and, on other hosts, CSV; keep",
        ),
        (("a.csv", "part-1"), ("1,2\n2,3\n", "4,5\n"), 0, "train: 2 files, 3 rows, 1 feature"),
    ],
)
def test_hosts_agree_on_types_and_columns(
    names: Any, contents: Any, ends: int, said: str, make_tree: Any, run_hosts: Any
) -> None:
    hosts = ("algo-1", "algo-2")
    trees = []
    for host, name, content in zip(hosts, names, contents, strict=True):
        tree = make_tree("linear-learner", {"predictor_type": "regressor"}, host=host, hosts=hosts)
        tree.write_config("inputdataconfig", {"train": {"S3DistributionType": "ShardedByS3Key"}})
        tree.write_channel("train", as_parquet(content) if isinstance(content, dict) else content, file_name=name)
        trees.append(tree)
    (code, printed), (other_code, _) = run_hosts(trees)
    assert (code, other_code) == (ends, ends), printed
    assert said in (trees[0].failure if ends else printed)
