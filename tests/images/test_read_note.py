"""What was read is said in a line for each channel, and left for the platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toolkit.data import InputFormat
from toolkit.read_note import ChannelRead

from tests.images.channels import as_parquet, tables_of

XGBOOST = InputFormat(default_type="text/libsvm", takes_weights=True)


def test_a_line_and_a_file_say_what_each_channel_gave(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = as_parquet({"y": [1, 0], "x": [2, 3], "z": [4, 5]})
    tables_of(tmp_path, train={"a.parquet": rows, "b.parquet": rows, "_x": b""}, test={"a.csv": "1,2,3\n"})
    label = "label: column 1 (y): 2 rows of 0, 2 of 1"
    lines = ["train: 2 files, 4 rows, 2 features: x, z", label, "test: 1 file, 1 row, 2 features"]
    assert capsys.readouterr().out.splitlines() == lines
    assert json.loads((tmp_path / "output/read.json").read_text()) == {
        "train": {
            "line": "train: 2 files, 4 rows, 2 features: x, z",
            "files": 2,
            "bytes": 2 * len(rows),
            "rows": 4,
            "features": 2,
            "names": ["x", "z"],
            "has_weights": False,
            "notes": [],
            "label": label,
        },
        "test": {
            "line": "test: 1 file, 1 row, 2 features",
            "files": 1,
            "bytes": 6,
            "rows": 1,
            "features": 2,
            "names": [],
            "has_weights": False,
            "notes": [],
            "label": "",
        },
    }


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (ChannelRead(1, 9, 1200, 1, ("income",)), "train: 1 file, 1,200 rows, 1 feature: income"),
        (ChannelRead(None, None, 3, 2), "train: 3 rows, 2 features"),
        (ChannelRead(2, 9, 3), "train: 2 files, 3 rows"),
        (ChannelRead(2, 9, 3, 4, has_weights=True), "train: 2 files, 3 rows with weights, 4 features"),
        (
            ChannelRead(1, 9, 1, 1000, tuple(f"f{number}" for number in range(1000))),
            "train: 1 file, 1 row, 1,000 features: f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, and 990 more",
        ),
    ],
)
def test_a_line_is_short(read: ChannelRead, line: str) -> None:
    assert read.line("train") == line


def test_weights_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables_of(tmp_path, "", XGBOOST, train={"a": "1:2 0:1\n0:1 4:1\n"})
    assert capsys.readouterr().out == ("train: 1 file, 2 rows with weights, 5 features\nlabel: 1 row of 0, 1 of 1\n")


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([18, 84, 30], "label: column 1, from 18 to 84"),
        ([0.5, 0, 1], "label: column 1, from 0 to 1"),
        ([2, 2, 7], "label: column 1: 2 rows of 2, 1 of 7"),
        (range(9), "label: column 1, from 0 to 8"),
    ],
)
def test_what_the_labels_are_is_said(labels: Any, line: str, tmp_path: Path, capsys: Any) -> None:
    tables_of(tmp_path, "text/csv", train={"a": "\n".join(f"{label},{number}" for number, label in enumerate(labels))})
    assert line in capsys.readouterr().out.splitlines()


ROWS = [f"{number * 0.37},{number},{number % 3}" for number in (5, 3, 8, 1, 9, 2, 7, 4, 6, 11, 10, 12)]
INDEX = "counts the rows: if it is an index, take it out"
FIRST_LINE = "the first line is 0, 1, 2, …"


@pytest.mark.parametrize(
    ("files", "notes"),
    [
        ({"a.csv": ROWS}, []),
        ({"a.csv": [f"{number % 2},{number},{number % 3}" for number in range(20)]}, []),
        ({"a.csv": ["0,1,2", *(f"{number},{number % 2},5" for number in range(20))]}, [FIRST_LINE, INDEX]),
        ({"a.csv": [f"{number},{number % 2},{number * 0.1}" for number in range(20)]}, [INDEX]),
        ({"a.csv": ["0,1,2", *ROWS]}, [FIRST_LINE]),
        ({"a.csv": ROWS, "a.csv~": ROWS, "a.csv.bak": ROWS}, ["a.csv.bak looks like a copy", "a.csv~ looks l"]),
    ],
)
def test_what_may_be_a_mistake_is_a_note(files: Any, notes: list[str], tmp_path: Path, capsys: Any) -> None:
    tables_of(tmp_path, "text/csv", train={name: "\n".join(rows) for name, rows in files.items()})
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
    assert len(said) == len(notes)
    for line, note in zip(said, notes, strict=True):
        assert line.startswith("note: channel train: ")
        assert note in line
