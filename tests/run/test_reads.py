"""What a built-in says it has read: believed as far as it fits, and compared with what was given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.run.reads import MOST_BYTES, READ_FILE, read_note, shortfall
from sagespec.state.manifest import ChannelRead, Input, JobStatus
from tests.fakes import TRAINS
from tests.place import Place, manifest_of

READ: dict[str, Any] = {"line": "train: 1 file, 2 rows", "files": 1, "bytes": 4, "rows": 2}


def note(**changed: Any) -> bytes:
    return json.dumps({"train": READ | changed}).encode()


def test_a_note_is_read_by_its_types() -> None:
    given = note(features=2, names=["x", "y"], notes=["a note"], later="field")
    assert read_note(given) == {
        "train": ChannelRead(**READ, features=2, names=("x", "y"), notes=("a note",)),
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"train": 1}',
        note(rows=-1),
        note(rows="x"),
        note(line="x" * 2001),
        note(names=["x"] * 101),
        b" " * MOST_BYTES + note(),
        json.dumps({str(number): READ for number in range(21)}).encode(),
    ],
)
def test_anything_else_is_no_note(content: bytes) -> None:
    assert read_note(content) == {}


def test_a_note_cannot_move_the_cursor() -> None:
    assert read_note(note(line="train\x1b[2J\n"))["train"].line == "train\ufffd[2J\ufffd"


def given(**changed: Any) -> dict[str, Input]:
    told = {"objects": 2, "bytes": 690, "data_files": 2, "data_bytes": 690} | changed
    return {"train": Input(source="data", fingerprint="0", **told)}


@pytest.mark.parametrize(
    ("files", "size", "inputs", "said"),
    [
        (2, 690, given(), None),
        (1, 345, given(), "channel train: 2 files of 690 bytes were to be read, and 1 of 345 bytes were; the data"),
        (2, 700, given(), "channel train: 2 files of 690 bytes were to be read, and 2 of 700 bytes were; the data"),
        (2, 690, given(objects=4, bytes=999), None),
        (1, 345, given(data_files=None, data_bytes=None), None),
        (None, None, given(), None),
        (2, 690, {}, None),
    ],
)
def test_what_was_read_is_what_was_given(files: Any, size: Any, inputs: Any, said: Any) -> None:
    fault = shortfall({"train": ChannelRead(line="", files=files, bytes=size, rows=1)}, inputs)
    assert str(fault or "").startswith(f"InternalServerError: {said}" if said else "")
    assert bool(fault) == bool(said)


@pytest.mark.parametrize(("size", "status"), [(4, JobStatus.COMPLETED), (3, JobStatus.FAILED)])
def test_a_model_of_other_data_than_was_given_is_no_model(size: int, status: JobStatus, tmp_path: Path) -> None:
    place = Place(tmp_path)
    files = {**TRAINS.files, READ_FILE: note(bytes=size)}
    place.engine.behave("job/model@1", replace(TRAINS, files=files))
    place.converge(place.job(1, algorithm="xgboost"))
    manifest = manifest_of(place, 1)
    assert manifest.status is status
    assert manifest.read["train"].line == READ["line"]
