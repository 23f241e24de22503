"""Requests to a model that knows its columns by name."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from toolkit.columns import Column, Columns
from toolkit.errors import ClientError
from toolkit.media import media_type
from toolkit.model import Model, load_model
from toolkit.named_requests import rows_of

MAPPING = Columns(
    (Column("purpose", 2, ("car", "house")), Column("income", 4, None, 50.0)), "defaulted", ("loan_id",), ("no", "yes")
)
CAR, HOUSE = [1.0, 0.0], [0.0, 1.0]


@pytest.mark.parametrize(
    ("body", "kind", "rows"),
    [
        ('{"instances": [{"purpose": "car", "income": 5}]}', "application/json", [[*CAR, 5]]),
        ('{"instances": [{"purpose": "boat"}, {"income": null, "purpose": "house"}]}', "application/json",
         [[0, 0, 50], [*HOUSE, 50]]),
        ('{"instances": [{"loan_id": "x", "defaulted": 1, "purpose": "car", "income": "5"}]}', "application/json",
         [[*CAR, 5]]),
        ('{"instances": [{"features": ["car", 5]}]}', "application/json", [[*CAR, 5]]),
        ('{"instances": [["car", 5], ["house", true]]}', "application/json", [[*CAR, 5], [*HOUSE, 1]]),
        ('[{"purpose": "car", "income": 5}]', "application/json", [[*CAR, 5]]),
        ('{"purpose": "car", "income": 5}', "application/json", [[*CAR, 5]]),
        ('{"dataframe_records": [{"income": 7, "purpose": "house"}]}', "application/json", [[*HOUSE, 7]]),
        ('{"dataframe_split": {"columns": ["income", "loan_id", "purpose"], "data": [[5, 1, "car"]]}}',
         "application/json", [[*CAR, 5]]),
        ('{"income": 1, "purpose": "car"}\n{"income": 2}\n', "application/jsonlines", [[*CAR, 1], [0, 0, 2]]),
        ("car,5\nhouse,\n", "text/csv", [[*CAR, 5], [*HOUSE, 50]]),
        ("income,purpose\r\n5,car\r\n", "text/csv", [[*CAR, 5]]),
        ("loan_id,purpose,income,defaulted\nx,car,5,1\n", "text/csv", [[*CAR, 5]]),
        ('"purpose";"income"\n"car";5\n', "text/csv", [[*CAR, 5]]),
        ("purpose,5\n", "text/csv;header=absent", [[0, 0, 5]]),
    ],
)  # fmt: skip
def test_a_request_names_its_columns_or_has_them_in_order(body: str, kind: str, rows: Any) -> None:
    assert rows_of(body.encode(), media_type(kind), MAPPING).tolist() == rows


@pytest.mark.parametrize(
    ("body", "kind", "problem"),
    [
        ('{"instances": [{"purpose": "car", "incom": 5}]}', "application/json",
         "row 1: the model has no column 'incom'; did you mean 'income'?"),
        ('{"instances": [{"purpose": "car"}, {"loan_id": 5}]}', "application/json", "row 2 names none of"),
        ('{"instances": [{"purpose": "car"}, [1]]}', "application/json", "row 2: some rows name their columns"),
        ('{"instances": [{"purpose": "car", "income": [5]}]}', "application/json",
         "row 1: income: '[5]' is not one value"),
        ('{"instances": [["car"]]}', "application/json", "row 1 has 1 value; the model takes 2, in this order: "
         "purpose, income, or name the columns"),
        ('{"instances": [{"data": {"features": {"keys": [0], "shape": [2], "values": [1]}}}]}', "application/json",
         "sparse instances do not go with named columns"),
        ('{"instances": []}', "application/json", "there are no rows"),
        ("{}", "application/json", 'one row is written {"column": value, …}, several {"instances": [{"column": value'),
        ('{"incom": 5}', "application/json", "the model takes 2, in this order: purpose, income"),
        ('{"purpose": "car", "incom": 5}', "application/json", "no column 'incom'; did you mean 'income'?"),
        ('{"income": "thirty"}', "application/json", "row 1: income: 'thirty' is not a number"),
        ("car,5\nhouse,abc\n", "text/csv", "row 2: income: 'abc' is not a number"),
        ('car,"5,5"\n', "text/csv", "row 1: income: '5,5' is not a number; a decimal comma; write 5.5"),
        ("car,inf\n", "text/csv", "row 1: income is inf, not a finite number"),
        ("income,purpos\n5,car\n", "text/csv", "the model has no column 'purpos'; did you mean 'purpose'?"),
        ("income,purpose\n5\n", "text/csv", "row 1 has 1 value, but 2 columns are named"),
        ("income,purpose\n", "text/csv", "no rows below the names"),
        ("LN-1,car,5,1\n", "text/csv", "row 1 has 4 values; the model takes 2, in this order: purpose, income"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_told_what_would(body: str, kind: str, problem: str) -> None:
    with pytest.raises(ValueError) as error:
        rows_of(body.encode(), media_type(kind), MAPPING)
    assert problem in str(error.value)


def test_a_row_is_answered_alike_whatever_stands_beside_it() -> None:
    columns = Columns((Column("c", 1, ("1", "True")),))
    assert rows_of(b"[[true], [1]]", media_type("application/json"), columns).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("2,0\n5,6\n", [[2, 0], [5, 6]]),
        ("0,2\n5,6\n", [[5, 6]]),
        ("2,1,0\n5,6,7\n", [[7, 5]]),
        ("2,0\n", [[2, 0]]),
    ],
)
def test_a_row_of_numbers_is_no_header_though_columns_are_called_so(body: str, rows: Any) -> None:
    columns = Columns((Column("0", 1), Column("2", 3)), "1")
    assert rows_of(body.encode(), media_type("text/csv"), columns).tolist() == rows


def test_a_column_may_be_called_as_a_member_of_an_instance() -> None:
    columns = Columns((Column("a", 1),), "y", ("data",))
    assert rows_of(b'[{"data": "2024-01-01", "a": 3}]', media_type("application/json"), columns).tolist() == [[3]]


def test_requests_that_are_odd_and_large_are_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.limits.memory_bytes", lambda: 2**24)
    wide = Columns(tuple(Column(f"c{number}", number) for number in range(1000)), "y")
    many, long = "y," * 20_000, "x" * 2**20
    for body, kind, problem in (
        (f"{many}c1,c1\n{'1,' * 20_001}1\n", "text/csv", "two columns are called 'c1'"),
        (f'[{{"{long}": 1}}]', "application/json", "the model has no column 'xxxx"),
        ("[" + ",".join(['{"c1":1}'] * 20_000) + "]", "application/json", "20000 rows of 1000 features would take"),
    ):
        start = time.process_time()
        with pytest.raises(ValueError) as error:
            rows_of(body.encode(), media_type(kind), wide)
        assert problem in str(error.value)
        assert len(str(error.value)) < 1000
        assert time.process_time() - start < 0.5


def test_a_mapping_is_kept_as_it_is() -> None:
    columns = Columns((Column("größe", 1), Column("c", 3, ("a", "b"))), None, ("id",), ("x", "y"))
    assert repr(Columns.from_json(columns.to_json())) == repr(columns)


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        (
            Columns((Column("a", 1),)).to_json(),
            "is another model's: its columns make 1 features, and the model takes 2",
        ),
        (b"[]", "is damaged: TypeError"),
        (b"{", "is damaged: JSONDecodeError"),
        (Columns((Column("a", 1), Column("b", 2))).to_json().replace(b"null", b'"x"'), "is damaged: ValueError"),
    ],
)
def test_a_mapping_that_is_not_the_models_is_refused(tmp_path: Path, mapping: bytes, problem: str) -> None:
    class Two(Model):
        feature_count = 2

        def __init__(self, folder: Path) -> None:
            pass

    (tmp_path / ".columns.json").write_bytes(Columns((Column("a", 1), Column("b", 2))).to_json())
    assert load_model(Two, tmp_path).columns is not None
    (tmp_path / ".columns.json").write_bytes(mapping)
    with pytest.raises(ClientError, match=re.escape(problem)):
        load_model(Two, tmp_path)
