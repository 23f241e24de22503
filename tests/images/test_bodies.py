"""What a request's body is taken for, and how a mistake in sending it reads."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import xgboost
from sklearn.linear_model import LinearRegression
from toolkit.bodies import explained, type_of
from toolkit.codecs import CodecError, decode
from toolkit.handlers import Handlers, Transformations

from tests.images.test_fuzz import imported

CSV, JSON, LINES, LIBSVM = "text/csv", "application/json", "application/jsonlines", "text/libsvm"
TABLES, TREES, TEXTS = (CSV, JSON, LINES), (LIBSVM, CSV, JSON, LINES), (JSON, LINES)


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "application/octet-stream"])
@pytest.mark.parametrize(
    ("body", "reads", "taken_for"),
    [
        ('{"instances": [{"age": 30}]}', TABLES, JSON),
        ('\ufeff\n [{"age": 30}]', TREES, JSON),
        ('{"instances": [\n{"age": 30}\n]\n}\n', TABLES, JSON),
        ("[[1, 2],\n[3, 4]]", TABLES, JSON),
        ('{"age": 30}\n{"age": 31}\n', TABLES, LINES),
        ('{"age": 30}\r\n\r\n{"age": 31}', TABLES, LINES),
        ('{"age": 30}\n{"age": 31}\n', (CSV, JSON), JSON),
        ('{"age": 30}', (CSV,), CSV),
        ("1,2\n", TABLES, CSV),
        ("age,income\n1,2\n", TABLES, CSV),
        ('"a, b",2\n', TABLES, CSV),
        ("1,2\n", TREES, CSV),
        ("1;2\n", TREES, LIBSVM),
        ("1 0:2 1:3\n", TREES, LIBSVM),
        ("a sentence, or two", TEXTS, JSON),
    ],
)
def test_a_body_without_a_type_is_what_it_looks_like(content_type: str, body: str, reads: Any, taken_for: str) -> None:
    assert type_of(content_type, body.encode(), reads).name == taken_for
    assert type_of("text/csv; header=present", body.encode(), reads).parameters == {"header": "present"}


@pytest.mark.parametrize(
    ("body", "kind", "reads", "width", "text"),
    [
        ("1,2,3,4,5,6", CSV, TABLES, 3, "refused; several rows? curl -d removes line ends, --data-binary keeps them"),
        ("1;2;34;5;6\n", CSV, TABLES, 3, "refused; several rows?"),
        ("1,2,3,4", CSV, TABLES, 3, "refused"),
        ("1,2,3,4,5,6\n1,2,3", CSV, TABLES, 3, "refused"),
        ('{"a": 1}{"a": 2}', LINES, TABLES, 1, "refused; several rows?"),
        ('{"a": 1}{', JSON, TABLES, 1, "refused"),
        ("1 0:1 1:20 0:3 1:4", LIBSVM, TREES, 2, "refused; several rows?"),
        ("1 0:1 7:2", LIBSVM, TREES, 2, "refused"),
        ('{"instances": [{"age": 1}]}', CSV, TABLES, 1,
         """'{"instances": [{"age": 1}]}' is not a number; JSON needs content type application/json"""),
        ("1:0.5 2:0.4", CSV, TREES, 3, "'1:0.5' is not a number; libsvm needs content type text/libsvm"),
        ("1:0.5 2:0.4", CSV, TABLES, 3, "refused"),
        ("1,2", LIBSVM, TREES, 2, "'1,2' is not index:value; CSV needs content type text/csv"),
        ("1,2", JSON, TABLES, 2, "'1,2' is not JSON; CSV needs content type text/csv"),
    ],
)  # fmt: skip
def test_a_mistake_in_sending_is_named(body: str, kind: str, reads: Any, width: int, text: str) -> None:
    message = explained("refused", body.encode(), kind, reads=reads, width=width)
    assert message == text or (text.endswith("?") and message.startswith(text)) or message.endswith(f": {text}")


# -- the default handlers of xgboost ----------------------------------------------------------------

ROW = [3.0, 1.0, 2.0]


@pytest.fixture(scope="module")
def boosters() -> dict[str, xgboost.Booster]:
    rows, labels = np.arange(30.0).reshape(10, 3), np.arange(10)
    matrices = {
        "unnamed": xgboost.DMatrix(rows, labels),
        "named": xgboost.DMatrix(rows, labels, feature_names=[*"abc"]),
    }
    return {name: xgboost.train({"max_depth": 2}, matrix, 3) for name, matrix in matrices.items()}


@pytest.fixture(scope="module")
def handlers() -> Any:
    return imported("xgboost", "xgboost_handlers")


@pytest.mark.parametrize(
    ("model", "body", "content_type"),
    [
        ("unnamed", "3,1,2", CSV),
        ("unnamed", "3,,2\n", CSV),
        ("unnamed", "[[3, null, 2]]", JSON),
        ("unnamed", '{"instances": [{"features": [3, 1, 2]}]}', JSON),
        ("unnamed", "0:3 2:2", LIBSVM),
        ("unnamed", "0:3", LIBSVM),
        ("named", "3,1,2", CSV),
        ("named", '{"instances": [{"a": 3, "b": 1, "c": 2}]}', JSON),
        ("named", '{"a": 3, "b": 1, "c": 2}', JSON),
        ("named", '{"a": 3, "b": null, "c": 2}', JSON),
        ("unnamed", '{"dataframe_split": {"columns": ["x", "y", "z"], "data": [[3, 1, 2]]}}', JSON),
    ],
)
def test_whole_rows_are_answered_and_those_of_libsvm(
    handlers: Any, boosters: Any, model: str, body: str, content_type: str
) -> None:
    answer = handlers.predict_fn(handlers.input_fn(body, content_type), boosters[model])
    assert answer == pytest.approx(boosters[model].inplace_predict(np.array([ROW]), validate_features=False))


def test_a_framework_says_what_else_it_reads(handlers: Any) -> None:
    environ = {"wsgi.input": io.BytesIO(b"0:3 1:1"), "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    booster = xgboost.train({}, xgboost.DMatrix(np.ones((2, 3)), [2, 2]), 1)
    answer = Transformations(Handlers(None, handlers), booster, Path())(environ)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("has_pandas", [True, False])
@pytest.mark.parametrize(
    ("model", "body", "content_type", "problem"),
    [
        ("unnamed", "1", CSV, "expected 3 features, got 1"),
        ("named", "1,2", CSV, "expected 3 features, got 2"),
        ("unnamed", "1,2,3,4", CSV, "expected 3 features, got 4"),
        ("unnamed", "1,2,34,5,67,8,9", CSV, "expected 3 features, got 7; several rows? curl -d removes line ends"),
        ("unnamed", "[[1, 2]]", JSON, "expected 3 features, got 2"),
        ("unnamed", '{"instances": [{"features": [1]}]}', JSON, "expected 3 features, got 1"),
        ("unnamed", '{"instances": [{"a": 1}]}', JSON, "the model does not know its columns by names; send a row's 3"),
        ("unnamed", '{"a": 1, "b": 2, "c": 3}', JSON, "the model does not know its columns by names"),
        ("unnamed", '{"dataframe_records": [{"a": 1, "b": 2, "c": 3}]}', JSON, "does not know its columns by names"),
        ("named", '{"instances": [{"a": 1}]}', JSON, "expected 3 features, got 1"),
        ("unnamed", "0:1 7:2", LIBSVM, "expected 3 features, got 8"),
        ("unnamed", "1:0.5 2:0.4", CSV, ": '1:0.5' is not a number; libsvm needs content type text/libsvm"),
        ("unnamed", "1,x,3", CSV, ": 'x' is not a number"),
        ("unnamed", '[["1", "2", "3"]]', JSON, ": '1' is text, not a number"),
        ("unnamed", '{"a": "x", "b": 2, "c": 3}', JSON, ": 'x' is not a number"),
        ("unnamed", "1,2,3", LIBSVM, "'1,2,3' is not index:value; CSV needs content type text/csv"),
    ],
)
def test_rows_that_do_not_fit_never_become_numbers(
    handlers: Any,
    boosters: Any,
    monkeypatch: Any,
    has_pandas: bool,
    model: str,
    body: str,
    content_type: str,
    problem: str,
) -> None:
    if not has_pandas:  # as in a process, where it is not installed with sagespec
        monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CodecError) as refused:
        handlers.predict_fn(handlers.input_fn(body, content_type), boosters[model])
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("has_pandas", [True, False])
def test_scikit_learn_takes_no_named_values_as_they_come(monkeypatch: Any, has_pandas: bool) -> None:
    predict_fn = imported("sklearn", "sklearn_handlers").predict_fn
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0]})
    unnamed, named = (LinearRegression().fit(rows, [1, 2]) for rows in (frame.to_numpy(), frame))
    if not has_pandas:
        monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CodecError, match="send a row's 2 values as a list"):
        predict_fn(decode('{"a": 1, "b": 1}', JSON), unnamed)
    with pytest.raises((CodecError, ValueError), match=r"(?i)in this order|same order"):
        predict_fn(decode('{"b": 1, "a": 1}', JSON), named)
    assert predict_fn(decode("[[1, 1]]", JSON), unnamed) == pytest.approx(1)
    assert predict_fn(decode('{"a": 1, "b": 1}', JSON), named) == pytest.approx(1)
