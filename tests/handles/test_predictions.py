"""Rows become requests that models read, and answers come back as what the rows came in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sagespec import SpecError, WorldError
from sagespec.handles import predictions
from sagespec.handles.predictions import Body, answer_for, bodies_of
from sagespec.verbs.answers import Answer
from sagespec.verbs.bodies import Reader

JSON, CSV = "application/json", "text/csv"


@pytest.mark.parametrize(
    ("rows", "reader", "content", "content_type"),
    [
        pytest.param(
            pd.DataFrame({"a": [1], "b": ["x, y"]}),
            Reader.NAMES,
            b'a,b\n1,"x, y"\n',
            f"{CSV}; header=present",
            id="a frame",
        ),
        pytest.param(pd.DataFrame({"a": [1.5, None]}), Reader.NUMBERS, b'1.5\n""\n', CSV, id="a frame by place"),
        pytest.param(np.array([[1.5, np.nan]]), Reader.NUMBERS, b"1.5,\n", CSV, id="an array"),
        pytest.param(np.array([1, 2]), Reader.NAMES, b"1,2\n", f"{CSV}; header=absent", id="an array of one row"),
        pytest.param([1, 2], Reader.NUMBERS, b'{"instances": [{"features": [1, 2]}]}', JSON, id="a row"),
        pytest.param([[1], (2,)], Reader.SCRIPT, b"[[1], [2]]", JSON, id="rows for a script"),
        pytest.param([{"a": np.int64(1)}], Reader.NAMES, b'{"instances": [{"a": 1}]}', JSON, id="named rows"),
        pytest.param({"inputs": [1]}, Reader.OWN, b'{"inputs": [1]}', JSON, id="a document"),
        pytest.param(b"1,2", Reader.SCRIPT, b"1,2", CSV, id="bytes"),
    ],
)
def test_rows_are_sent_as_their_reader_reads_them(rows: Any, reader: Reader, content: bytes, content_type: str) -> None:
    (body,) = bodies_of(rows, reader)
    assert (body.content, body.content_type) == (content, content_type)


def test_another_content_type_is_written_and_not_only_said() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    (body,) = bodies_of(frame, Reader.NAMES, "application/jsonlines", "text/csv")
    assert body == Body(b'{"a": 1}\n{"a": 2}\n', "application/jsonlines", "text/csv")


def answered(body: bytes, content_type: str) -> Answer:
    return Answer(200, body, content_type, "stable", {})


def test_an_answer_is_what_the_rows_came_in() -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=["u", "v"])
    said = json.dumps({"predictions": [{"score": 0.5, "label": "yes"}, {"score": 0.25, "label": "no"}]}).encode()
    answer = answer_for(frame, [answered(said, JSON)])
    assert (list(answer.index), list(answer.columns)) == (["u", "v"], ["score", "label"])
    assert answer_for(frame.to_numpy(), [answered(said, JSON)]).tolist() == [0.5, 0.25]
    assert answer_for(frame, [answered(b"1,2\n3,4\n", CSV)]).to_numpy().tolist() == [[1, 2], [3, 4]]
    assert answer_for([[1], [2]], [answered(b"[1, 2]", JSON)]) == [1, 2]
    assert answer_for(b"1\n", [answered(b"\x00", "application/x-npy")]) == b"\x00"
    with pytest.raises(WorldError, match="1 predictions for 2 rows"):
        answer_for(frame, [answered(b"1\n", CSV)])
    with pytest.raises(WorldError, match="which is no table"):
        answer_for(frame, [answered(b"\x00", "image/png")])


def test_rows_that_are_too_many_for_one_request_are_sent_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MOST_BYTES", 100)
    for rows in (pd.DataFrame({"a": range(100)}), np.arange(100).reshape(-1, 1)):
        bodies = bodies_of(rows, Reader.NUMBERS)
        assert len(bodies) > 2
        assert max(len(body.content) for body in bodies) <= 100
        assert b"".join(body.content for body in bodies).split() == [str(number).encode() for number in range(100)]
        answers = [answered(body.content, CSV) for body in bodies]
        assert np.asarray(answer_for(rows, answers)).ravel().tolist() == list(range(100))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (5, "int cannot be predicted from"),
        (pd.Series([1, 2]), "a Series is a row or a column"),
        (np.zeros((2, 2, 2)), "3 dimensions is no table"),
        ([object()], "object cannot be written as JSON"),
    ],
)
def test_what_is_no_rows_is_refused(rows: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        bodies_of(rows, Reader.NUMBERS)
    assert refused.value.problems[0].fix
