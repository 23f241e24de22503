"""What is sent for lists, arrays, frames and plain data, and what is made of an answer."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy
import pandas
import pytest

from sagespec.errors import ModelError, SpecError, WorldError
from sagespec.verbs.answers import Answer, InvokeError, error_of
from sagespec.verbs.bodies import CSV, JSON, JSON_LINES, NPY, Reader, body_of
from sagespec.verbs.readers import reader_of

FRAME = pandas.DataFrame({"age": [30, 41], "plan": ["a,b", None], "bill": [1.5, float("nan")]})
HEADER = f"{CSV}; header=present"


def sent(data: Any, kind: str | None = None, reader: Reader = Reader.NUMBERS) -> tuple[str, str]:
    body, content_type = body_of(data, kind, lambda: reader)
    return body.decode(), content_type


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"1,2", "1,2"),
        ("1,2", "1,2"),
        ([3, 5, 80.0, 0], "3,5,80.0,0\n"),
        ((3, True, None), "3,1,\n"),
        ([[1, 2], [3, 4]], "1,2\n3,4\n"),
        (range(3), "0,1,2\n"),
        (7, "7\n"),
        (numpy.array([1.5, 2]), "1.5,2.0\n"),
        (numpy.float32(0.5), "0.5\n"),
        ([numpy.float64(0.5), numpy.int64(3)], "0.5,3\n"),
        (numpy.array([[1, 2], [3, 4]]), "1,2\n3,4\n"),
        ([numpy.array([1, 2]), numpy.array([3, 4])], "1,2\n3,4\n"),
        (pandas.Series([1, 2], index=["a", "b"]), "1,2\n"),
        (FRAME, '30,"a,b",1.5\n41,,\n'),
        (FRAME[["age"]].to_numpy(), "30\n41\n"),
    ],
)
def test_rows_become_csv(data: object, body: str) -> None:
    assert sent(data) == (body, CSV)


def test_names_go_along_where_the_model_knows_them() -> None:
    assert sent(FRAME, reader=Reader.NAMES) == ('age,plan,bill\n30,"a,b",1.5\n41,,\n', HEADER)
    assert sent(FRAME, "text/csv; header=absent", Reader.NAMES)[0].startswith("30,")
    assert sent(pandas.DataFrame([[1, 2]]), reader=Reader.NAMES) == ("1,2\n", CSV)


def test_a_name_that_holds_a_separator_is_not_two() -> None:
    assert sent(pandas.DataFrame({"a;b": [1], "c": [2]}), reader=Reader.NAMES) == ('"a;b",c\n1,2\n', HEADER)


def test_dates_and_what_is_missing_in_a_frame_are_json() -> None:
    frame = pandas.DataFrame({"at": pandas.to_datetime(["2026-01-02", None]), "n": pandas.array([1, None], "Int64")})
    split = {"dataframe_split": {"columns": ["at", "n"], "data": [["2026-01-02T00:00:00", 1], [None, None]]}}
    assert json.loads(sent(frame, JSON, Reader.SCRIPT)[0]) == split


def test_a_list_of_texts_is_one_row_to_who_knows_columns_and_texts_to_others() -> None:
    assert sent(["good", "bad"], reader=Reader.NAMES) == ("good,bad\n", CSV)
    assert json.loads(sent(["good", "bad"], JSON, Reader.SCRIPT)[0]) == ["good", "bad"]


def test_a_request_that_may_reach_two_models_is_written_for_both() -> None:
    both = {"a": Reader.NAMES, "b": Reader.NUMBERS}
    assert (reader_of(both), reader_of(both, "a"), reader_of(both, "gone")) == (
        Reader.NUMBERS, Reader.NAMES, Reader.NUMBERS,
    )  # fmt: skip
    assert reader_of({}) is Reader.OWN


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (Reader.NAMES, {"instances": [{"age": 30, "bill": 1.5}, {"age": 41, "bill": None}]}),
        (Reader.NUMBERS, {"instances": [{"features": [30, 1.5]}, {"features": [41, None]}]}),
        (Reader.OWN, [[30, 1.5], [41, None]]),
    ],
)
def test_json_has_the_form_that_its_reader_takes(reader: Reader, value: object) -> None:
    body, kind = sent(FRAME[["age", "bill"]], JSON, reader)
    assert (json.loads(body), kind) == (value, JSON)
    lines, kind = sent(FRAME[["age", "bill"]], JSON_LINES, reader)
    items = value["instances"] if isinstance(value, dict) else value
    assert ([json.loads(line) for line in lines.splitlines()], kind) == (items, JSON_LINES)


def test_objects_and_texts_are_json() -> None:
    assert sent({"income": numpy.int64(3)}) == ('{"income": 3}', JSON)
    assert sent([{"income": 3}]) == ('{"instances": [{"income": 3}]}', JSON)
    assert sent([{"income": 3}], reader=Reader.OWN) == ('[{"income": 3}]', JSON)
    assert sent(["good", "bad"]) == ('{"instances": ["good", "bad"]}', JSON)
    assert sent('{"a": 1}') == ('{"a": 1}', JSON)


def test_images_are_npy() -> None:
    images = numpy.zeros((2, 3, 3))
    body, kind = body_of(images, None, lambda: Reader.OWN)
    assert kind == NPY
    assert numpy.load(io.BytesIO(body)).shape == (2, 3, 3)
    assert body_of([[1, 2]], NPY, lambda: Reader.OWN)[0][:6] == b"\x93NUMPY"


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(SpecError, match="no rows"):
        sent([])
    with pytest.raises(SpecError, match="cannot be written as text/libsvm"):
        sent([1, 2], "text/libsvm")
    with pytest.raises(SpecError, match="object cannot be written as JSON"):
        sent([object()], JSON)


def an_answer(body: str, kind: str = JSON, status: int = 200, **headers: str) -> Answer:
    return Answer(status, body.encode(), kind, "stable", headers)


def test_an_answer_is_text_json_and_a_frame() -> None:
    assert an_answer("0.5\n0.25\n", CSV).text == "0.5\n0.25\n"
    assert an_answer("0.5\n0.25\n", CSV).frame()[0].tolist() == [0.5, 0.25]
    assert an_answer('0,"[0.1, 0.9]"\n', CSV).frame().loc[0].tolist() == [0, "[0.1, 0.9]"]
    assert an_answer('{"predictions": [{"score": 0.5}]}').json() == {"predictions": [{"score": 0.5}]}
    assert an_answer('{"predictions": [{"score": 0.5}]}').frame()["score"].tolist() == [0.5]
    assert an_answer("[1, 2]").frame()[0].tolist() == [1, 2]
    assert an_answer('{"a": 1}\n{"a": 2}\n', JSON_LINES).frame()["a"].tolist() == [1, 2]
    with pytest.raises(WorldError, match=r"text/csv, and not JSON\n  why  0,\[\n"):
        an_answer("0,[", CSV).json()


def test_a_models_error_has_its_words() -> None:
    body = json.dumps({"Message": "x", "OriginalStatusCode": 500, "OriginalMessage": "ValueError: 10 features"})
    error = error_of("churn", an_answer(body, status=424, **{"x-Amzn-ErrorType": "ModelError"}), lambda: [])
    assert isinstance(error, ModelError)
    assert (error.status, error.variant) == (500, "stable")
    assert str(error) == (
        "endpoint/churn/stable: answers 500: ValueError: 10 features\n  fix  see `sagespec logs endpoint/churn/stable`"
    )


def test_an_unknown_endpoint_names_the_nearest() -> None:
    answer = Answer(400, b'{"Message": "not found"}', JSON, "", {"x-amzn-errortype": "ValidationError"})
    error = error_of("chrun", answer, lambda: ["churn"])
    assert type(error) is InvokeError
    assert error.problems[0].fix == 'did you mean "churn"?'
