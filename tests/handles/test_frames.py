"""A frame becomes what the built-in algorithms read the same values from, or is refused with the way out."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from toolkit.columns import NO_NUMBERS, Columns, Wanted
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.media import media_type
from toolkit.named_requests import rows_of
from toolkit.training import Channel as ToolkitChannel
from toolkit.training import Job as ToolkitJob

from sagespec import Channel, SpecError
from sagespec.handles import frames
from sagespec.handles.channels import Files, channels_of
from sagespec.handles.channels import Table as Said
from sagespec.handles.predictions import bodies_of
from sagespec.verbs.bodies import Reader

LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))
NAMES = st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(lambda name: name and name.isprintable())
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from("\n"), max_size=10)
NUMBERS = st.floats(-1e30, 1e30) | st.just(math.nan)


def _column(rows: int) -> st.SearchStrategy[Any]:
    def lists(values: st.SearchStrategy[Any], dtype: Any) -> st.SearchStrategy[Any]:
        return st.lists(values, min_size=rows, max_size=rows).map(lambda found: pd.Series(found, dtype=dtype))

    small = st.integers(-(2**53), 2**53)
    return st.one_of(
        lists(small, "int64"),
        lists(small | st.none(), "Int64"),
        lists(NUMBERS, "float64"),
        lists(st.floats(-(2.0**90), 2.0**90, width=32), "float32"),
        lists(st.booleans(), "bool"),
        lists(st.booleans() | st.none(), "boolean"),
        lists(TEXTS | st.none(), "object"),
        lists(TEXTS, "str"),
        lists(st.sampled_from(["a", "b, c", 'd"e', "1"]) | st.none(), "category"),
        lists(st.sampled_from([10, 20]), "category"),
    )


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """A frame whose column y is the one to predict."""
    rows = draw(st.integers(1, 6))
    names = draw(st.lists(NAMES.filter(lambda name: name != "y"), min_size=1, max_size=4, unique=True))
    columns = {name: draw(_column(rows)) for name in names}
    frame = pd.DataFrame(columns | {"y": pd.Series(range(rows), dtype="int64")})
    kept = draw(st.permutations(list(range(rows))))
    return frame[draw(st.permutations(list(frame.columns)))].iloc[kept]


def read(document: dict[str, Any], folder: Path) -> tuple[Table, Columns]:
    """What a built-in algorithm reads of the channel, and how it will read requests."""
    said = Wanted(document.get("target"), tuple(document.get("drop", ())), tuple(document.get("categorical", ())))
    job = ToolkitJob(
        hyperparameters=None,
        channels={"train": ToolkitChannel("train", (folder / document["source"]).parent, "")},
        hosts=Hosts(("algo-1",), "algo-1"),
        model_folder=folder,
        output_folder=folder,
        columns=said,
    )  # type: ignore[type-var]
    table = load_tables(job, ["train"], InputFormat())["train"]
    return table, Columns.from_json(job.beside_model[".columns.json"])


def written(data: Any, folder: Path, **said: Any) -> dict[str, Any]:
    table = Said(is_builtin=True, **said)
    document = channels_of(data, table=table, folder=folder / "data", spec_folder=folder, files=Files())["train"]
    return document if isinstance(document, dict) else {"source": document}


def numbers(column: Any) -> list[float]:
    return [math.nan if value is None or value is pd.NA else float(value) for value in column]


def expected(column: Any) -> np.ndarray[Any, Any]:
    """The features of a column: its numbers, the mean for a missing one; or one feature for each text."""
    kind = frames._kind_of(column)
    if kind == "numbers":
        found = np.array(numbers(column))
        fill = float(np.mean(found[~np.isnan(found)])) if not np.isnan(found).all() else 0.0
        return np.where(np.isnan(found), fill, found)[:, np.newaxis]
    texts = ["" if frames._is_missing(value) else str(value) for value in column]
    known = [_as_category(text) for text in texts]
    categories = sorted({text for text in known if text})
    return np.array([[float(text == one) for one in categories] for text in known]).reshape(len(known), -1)


def _as_category(text: str) -> str:
    plain = text.strip()
    return "" if plain.lower() in NO_NUMBERS else plain


@given(tables())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_learned_from_are_the_values_of_the_frame_in_training_and_in_requests(frame: pd.DataFrame) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        table, columns = None, None
        refused = ""
        try:
            table, columns = read(written(frame, folder, target="y"), folder)
        except (ClientError, SpecError) as error:
            refused = str(error)
    if table is None or columns is None:
        assert "missing" in refused, "nothing else is refused"
        return
    assert table.labels.tolist() == frame["y"].tolist()
    features = frame.drop(columns="y")
    assert [column.name for column in columns.features] == list(features.columns)
    place = 0
    for column in columns.features:
        want = expected(frame[column.name])
        if frames._kind_of(frame[column.name]) == "numbers":
            assert table.features[:, place : place + column.width] == pytest.approx(want, nan_ok=True)
        place += column.width
    for sent in (features, features[features.columns[::-1]], frame):
        (body,) = bodies_of(sent, Reader.NAMES)
        rows = rows_of(body.content, media_type(body.content_type), columns)
        assert rows == pytest.approx(np.asarray(table.features), nan_ok=True)


def test_text_becomes_one_feature_for_each_value(tmp_path: Path) -> None:
    frame = pd.DataFrame({"plan": ["b, c", 'a "x"', None, "b, c"], "y": [0, 1, 0, 1]})
    table, columns = read(written(frame, tmp_path, target="y"), tmp_path)
    assert columns.features[0].categories == ('a "x"', "b, c")
    assert np.asarray(table.features).tolist() == [[0, 1], [1, 0], [0, 0], [0, 1]]


def test_a_name_that_is_a_separator_is_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"; |": [1, 2], "y": [0, 1]})
    table, columns = read(written(frame, tmp_path, target="y"), tmp_path)
    assert table.names == ("; |",)
    (body,) = bodies_of(frame[["; |"]], Reader.NAMES)
    assert body.content == b'"; |"\n1\n2\n'
    assert rows_of(body.content, media_type(body.content_type), columns).tolist() == [[1], [2]]


def test_the_same_frame_is_the_same_file_and_another_is_not(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, None], "y": [0, 1]})
    first, again = (written(frame, tmp_path, target="y")["source"] for _ in range(2))
    other = written(frame.assign(a=[1.5, 2.0]), tmp_path, target="y")["source"]
    assert first == again != other
    assert (tmp_path / first).read_text() == "a,y\n1.5,0\n,1\n"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(Path(p).name for p in (first, other))


DATES = pd.to_datetime(["2024-01-01", "2024-01-02"])
GOOD = {"a": [1, 2], "y": [0, 1]}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(
            lambda: pd.DataFrame(GOOD | {"day": DATES}), r"no algorithm learns from day \(dates\)", id="dates"
        ),
        pytest.param(lambda: pd.DataFrame(GOOD | {"t": DATES - DATES[0]}), r"t \(durations\)", id="durations"),
        pytest.param(
            lambda: pd.DataFrame(GOOD | {"d": [datetime.date(2024, 1, 1), None]}), r"d \(dates\)", id="date objects"
        ),
        pytest.param(lambda: pd.DataFrame(GOOD | {"l": [[1], [2]]}), r"l \(values such as a list\)", id="lists"),
        pytest.param(lambda: pd.DataFrame(GOOD | {"i": [math.inf, 0]}), r"i \(infinite numbers\)", id="infinite"),
        pytest.param(lambda: pd.DataFrame(GOOD | {"z": [1j, 0]}), r"z \(complex128\)", id="complex"),
        pytest.param(lambda: pd.DataFrame(GOOD, index=pd.Index(["u", "v"], name="id")), r"index \(id\)", id="index"),
        pytest.param(lambda: pd.DataFrame(GOOD, index=DATES), "its index .datetime64", id="index of dates"),
        pytest.param(
            lambda: pd.DataFrame(GOOD, index=pd.MultiIndex.from_tuples([(1, 2), (1, 3)])), "its index", id="levels"
        ),
        pytest.param(lambda: pd.DataFrame([[1, 2]], columns=["y", "y"]), "2 columns are called 'y'", id="twice"),
        pytest.param(
            lambda: pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
            "2 levels of names",
            id="names in levels",
        ),
        pytest.param(lambda: pd.DataFrame([[1, 2]], columns=["y", " a"]), "a column is called ' a'", id="blanks"),
        pytest.param(lambda: pd.DataFrame(GOOD | {"n": [None, None]}), r"n \(values are all missing\)", id="nothing"),
        pytest.param(lambda: pd.DataFrame({"a": [1, 2]}), "there is no column 'y'", id="no target"),
        pytest.param(lambda: pd.DataFrame({"a": [1], "y": [None]}), "1 rows have no y", id="gaps in the target"),
        pytest.param(lambda: pd.DataFrame({"a": [], "y": []}), "it has 0 rows and 2 columns", id="empty"),
        pytest.param(lambda: np.zeros((2, 2)), "ndarray is no data to train with", id="array"),
        pytest.param(lambda: 5, "int is no data to train with", id="number"),
    ],
)
def test_what_would_be_lost_or_misread_is_refused(tmp_path: Path, make: Callable[[], Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        written(make(), tmp_path, target="y")
    assert refused.value.problems[0].fix
    assert not list(tmp_path.rglob("*.csv"))


def test_dates_may_be_dropped_and_an_index_of_numbers_is_passed_over(tmp_path: Path) -> None:
    frame = pd.DataFrame(GOOD | {"day": DATES}).iloc[[1, 0]]
    document = written(frame, tmp_path, target="y", drop=["day"])
    assert document | {"source": ""} == {"source": "", "target": "y", "drop": ["day"]}
    table, _ = read(document, tmp_path)
    assert np.asarray(table.features).tolist() == [[2], [1]]


def test_a_frame_of_more_than_a_gibibyte_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_BYTES", 1000)
    with pytest.raises(SpecError, match="more than 1 GiB as CSV") as refused:
        written(pd.DataFrame({"a": range(1000), "y": 0}), tmp_path, target="y")
    assert "to_parquet" in refused.value.problems[0].fix
    assert not list((tmp_path / "data").iterdir()), "nothing is left of it"


def test_channels_are_written_as_a_person_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("specs/notebook", "data"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("data/train.csv", "t.csv"):
        (tmp_path / file).touch()
    data = {
        "train": "data/train.csv",
        "validation": Channel("s3://acme/val/", content_type="text/csv", distribution="sharded"),
        "test": {"source": tmp_path / "t.csv", "header": True},
    }
    said = Said(is_builtin=True, target="y", categorical=["c"])
    spec_folder = tmp_path / "specs" / "notebook"
    assert channels_of(data, table=said, folder=tmp_path, spec_folder=spec_folder, files=Files()) == {
        "train": {"source": "../../data/train.csv", "target": "y", "categorical": ["c"]},
        "validation": {"source": "s3://acme/val/", "content_type": "text/csv", "distribution": "sharded"},
        "test": {"source": "../../t.csv", "header": True},
    }


def test_a_path_starts_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"channel train: there is no data/no.csv") as refused:
        written("data/no.csv", tmp_path)
    assert refused.value.problems[0].why == f"paths start at the working folder, so this is {tmp_path}/data/no.csv"


def test_values_that_json_knows_are_json(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", None], "c": [True, False]})
    (body,) = bodies_of(frame, Reader.SCRIPT)
    assert json.loads(body.content) == {
        "dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.5, "x", True], [None, None, False]]}
    }
