"""Channels whose columns have names: what is learned from a user's own file, and how each mistake in it reads."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
import xgboost
from pyarrow import parquet
from toolkit.columns import Column, Columns, Wanted
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.media import media_type
from toolkit.model import Model, load_model
from toolkit.named_requests import rows_of
from toolkit.training import Channel, Job

Y = Wanted("y")
SMALL = "a,b,y\n1,2,0\n3,4,1\n"
LOANS = Path(__file__).parents[2] / "examples/loans/data"


def load(
    folder: Path, files: Mapping[str, str | bytes], wanted: Wanted, **input_format: Any
) -> tuple[dict[str, Table], Any]:
    """The tables of files named <channel>/<file>, and the mapping that is laid beside the model."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    names = list(dict.fromkeys(name.partition("/")[0] for name in files))
    job = Job(
        hyperparameters=None,
        channels={name: Channel(name, folder / name, "") for name in names},
        hosts=Hosts(("algo-1",), "algo-1"),
        model_folder=folder,
        output_folder=folder,
        columns=wanted,
    )  # type: ignore[type-var]
    tables = load_tables(job, names, InputFormat(**input_format))
    return tables, json.loads(job.beside_model[".columns.json"])


def as_zip(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return stream.getvalue()


def with_index(**columns: Any) -> bytes:
    frame = pandas.DataFrame(columns, index=pandas.Index(["u"] * len(columns["y"]), name="id"))
    return bytes(frame.to_parquet())


def as_parquet(**columns: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "wanted", "features", "labels"),
    [
        pytest.param(SMALL, Y, [[1, 2], [3, 4]], [0, 1], id="label last"),
        pytest.param("y;a\n1;0.5\n", Y, [[0.5]], [1], id="semicolons"),
        pytest.param("a;b;y\n43,0;1,234;0\n5;;2,5\n", Y, [[43, 1.234], [5, 1.234]], [0, 2.5], id="decimal commas"),
        pytest.param("\ufeffa , y\r\n\r\n 1 , 0\r\n", Y, [[1]], [0], id="mark, blanks, line ends, empty line"),
        pytest.param('a,"b, c",y\n1,"2",0\n', Y, [[1, 2]], [0], id="quoted"),
        pytest.param(
            'a, "c, d", y\n1, "u, v", 0\n', Wanted("y", (), ("c, d",)), [[1, 1]], [0], id="blank before quotes"
        ),
        pytest.param(gzip.compress(SMALL.encode()), Y, [[1, 2], [3, 4]], [0, 1], id="gzip"),
        pytest.param("id,a,y\nx7,1,0\n", Wanted("y", ("id",)), [[1]], [0], id="dropped"),
        pytest.param("a,a,b,y\nu,1,2,0\n", Wanted("y", ("a",)), [[2]], [0], id="twice, and dropped"),
        pytest.param('"a, net";y\n1;0\n2;1\n', Y, [[1], [2]], [0, 1], id="a name with another separator"),
        pytest.param("a,y\nTrue,0\nfalse,1\n", Y, [[1], [0]], [0, 1], id="truths"),
        pytest.param("a,y\n1,0\nNA,1\n,0\n?,0\n6,0\n", Y, [[1], [3.5], [3.5], [3.5], [6]], [0, 1, 0, 0, 0], id="gaps"),
        pytest.param("a,y\n1,yes\n2,no\n", Y, [[1], [2]], [1, 0], id="classes"),
        pytest.param(
            "c,y\n36,0\n60,0\n36.0,1\n,0\n",
            Wanted("y", (), ("c",)),
            [[1, 0], [0, 1], [1, 0], [0, 0]],
            [0, 0, 1, 0],
            id="numbers as categories",
        ),
        pytest.param(
            'c,y\n"two\nlines",0\n"a ""b""",1\n', Wanted("y", (), ("c",)), [[0, 1], [1, 0]], [0, 1], id="RFC 4180"
        ),
        pytest.param(
            as_parquet(c=pyarrow.array(["u", None]).dictionary_encode(), a=[1, None], y=["m", "b"]),
            Wanted("y", (), ("c",)),
            [[1, 1], [0, 1]],
            [1, 0],
            id="parquet",
        ),
    ],
)
def test_a_file_as_it_comes(tmp_path: Path, content: Any, wanted: Wanted, features: Any, labels: Any) -> None:
    name = "train/data.parquet" if isinstance(content, bytes) and content[:3] == b"PAR" else "train/data.csv"
    tables, _ = load(tmp_path, {name: content}, wanted)
    assert tables["train"].features.tolist() == features
    assert tables["train"].labels.tolist() == labels


def test_other_channels_are_read_by_the_names_and_values_of_training(tmp_path: Path, capsys: Any) -> None:
    files = {
        "train/t.csv": "c,a,y\nu,1,no\nv,3,yes\n",
        "validation/v.csv": "y,more,a,c\nyes,9,,w\nno,9,5,v\n",
    }
    tables, mapping = load(tmp_path, files, Wanted("y", (), ("c",)))
    assert tables["validation"].features.tolist() == [[0, 0, 2], [0, 1, 5]]
    assert tables["validation"].labels.tolist() == [1, 0]
    assert tables["validation"].names == ("c", "a")
    assert mapping["classes"] == ["no", "yes"]
    printed = capsys.readouterr().out
    assert "column 1 (c): not in the training data: 'w'" in printed
    assert "passed over, as the training data have no such columns: more" in printed


def test_an_index_of_pandas_may_be_dropped(tmp_path: Path) -> None:
    tables, _ = load(tmp_path, {"train/t.parquet": with_index(a=[1], y=[0])}, Wanted("y", ("id",)))
    assert tables["train"].names == ("a",)


@pytest.mark.parametrize(
    ("image", "settings", "problem"),
    [
        (
            "xgboost",
            {"num_round": 1, "objective": "binary:logistic"},
            "there are 3 classes, 'Yes', 'no', 'yes', and label 2 does not fit binary:logistic, it must be from 0 to "
            "1; do Yes and yes mean the same?",
        ),
        ("xgboost", {"num_round": 1, "objective": "multi:softmax"}, "go from 0 to 2: num_class: 3"),
        (
            "lightgbm",
            {"objective": "binary"},
            "label 2 does not fit binary, it must be from 0 to 1; do Yes and yes",
        ),
        ("linear-learner", {"predictor_type": "binary_classifier"}, "do Yes and yes mean the same?"),
    ],
)
def test_classes_that_are_too_many_are_named(make_tree: Any, image: str, settings: Any, problem: str) -> None:
    tree = with_columns(make_tree(image, settings, {"train": "a,y\n1,yes\n2,Yes\n3,no\n"}), {"target": "y"})
    assert tree.train()[0] == 1
    assert problem in tree.failure


def test_a_missing_number_stays_missing_where_the_algorithm_knows_that(tmp_path: Path, capsys: Any) -> None:
    tables, _ = load(tmp_path, {"train/t.csv": "a,y\n,0\n1,1\n"}, Y, allow_missing=True)
    np.testing.assert_array_equal(tables["train"].features, [[np.nan], [1]])
    assert "missing values stay missing: a (1)" in capsys.readouterr().out


def test_what_may_be_an_id_is_said(tmp_path: Path, capsys: Any) -> None:
    rows = "".join(f"{row * 7},{row % 5},{row % 2}\n" for row in range(200))
    load(tmp_path, {"train/t.csv": f"id,a,y\n{rows}"}, Y)
    printed = capsys.readouterr().out
    assert "column 1 (id) has another whole number in each row" in printed
    assert "(a) has" not in printed


@pytest.mark.parametrize(
    ("files", "wanted", "problem"),
    [
        ({"train/t.csv": "a,defaulted\n1,0\n"}, Wanted("default"), "there is no column 'default', which target names; "
         "did you mean 'defaulted'?"),
        ({"train/t.csv": "loan_id,a,y\n1,1,0\n"}, Wanted("y", ("loan_ID",)), "did you mean 'loan_id'?"),
        ({"train/t.csv": SMALL}, Wanted(None), "name their column in the spec, as target: y"),
        ({"train/t.csv": "1,2,0\n3,4,1\n"}, Y, "t.csv:1: target names 'y', but the first line "
         "holds values: '1', '2', '0'; does the file have no header line? Put one in front"),
        ({"train/t.csv": "LN-1,car,CA,9,0\nLN-2,bus,CA,8,1\n"}, Wanted("default"), "'LN-1', 'car', 'CA', …;"),
        ({"train/t.csv": "x,s,x,p\nx,y,x,e\n"}, Wanted("class"), "does the file have no header line?"),
        ({"train/t.csv": "2019,2020,default\n1,2,0\n"}, Wanted("defaul"), "did you mean 'default'?"),
        ({"train/t.csv": "a,a,y\n1,2,0\n"}, Y, "t.csv:1: columns 1 and 2 are both called 'a'"),
        ({"train/t.csv": ",a,y\n0,2,0\n"}, Y, "t.csv:1: column 1 has no name"),
        ({"train/t.csv": "a,y\n1,0\n"}, Wanted("y", ("a",)), "no column is left to learn from"),
        ({"train/t.csv": ""}, Y, "t.csv:1: the file is empty"),
        ({"train/t.csv": "a,y\n"}, Y, "channel train has no rows below its header line"),
        ({"train/t.csv": "a,y\n,0\n"}, Y, "channel train: column 1 (a): all its values are missing"),
        ({"train/t.csv": "a,b,y\n1,2,0\n\n3,1\n"}, Y, "t.csv:4: 2 fields, but the header line names 3 columns"),
        ({"train/t.csv": 'a,y\n1,0\n"2,1\n3,1\n'}, Y, "t.csv:3: cannot be read as CSV"),
        ({"train/t.csv": b"a,y\n1,0\n\xfc,1\n"}, Y, "t.csv:3: the text is not UTF-8"),
        ({"train/t.csv": "a,y\n1,0\n".encode("utf-16")}, Y, "t.csv:1: the file is UTF-16 text; save it as UTF-8 (Exc"),
        ({"train/t.csv": as_zip("[Content_Types].xml", "xl/workbook.xml")}, Y, "t.csv:1: the file is an Excel workbook;"
         " save it as CSV UTF-8"),
        ({"train/t.parquet": as_zip("docProps/app.xml", "xl/theme/theme1.xml")}, Y, "t.parquet: row 1: not a Parquet "
         "file, but an Excel workbook; save it as CSV UTF-8"),
        ({"train/t.csv": as_zip("table.csv")}, Y, "the file is a zip archive; unpack it"),
        ({"train/t.csv": "a,y\n1,0\n1_000,1\n"}, Y, "t.csv:3, column 1 (a): '1_000' is not a number, and other rows"),
        ({"train/t.csv": "a;b;y\n1;0.5;0\n1,5;2;1\n"}, Y, "t.csv: column 1 (a) has decimal commas, but column 2 (b) "
         "has points, '0.5'; write all numbers with decimal points"),
        ({"train/t.csv": "a;y\n1;0\n1,500;1\n"}, Y, "t.csv has numbers that cannot be read: column 1 (a): '1', '1,500' "
         "(a comma in a number; write 1.500, or 1500 if it separates thousands)"),
        ({"train/t.csv": 'a,b,c,d,y\n"43,0","36,988.81",$1,12 %,0\n"4,5","1,500",$2,13 %,0\n'}, Y, "column 1 (a): "
         "'43,0', '4,5' (a decimal comma; write 43.0); column 2 (b): '36,988.81', '1,500' (a separator of thousands; "
         "write 36988.81); column 3 (c): '$1', '$2' (a currency sign; write 1); column 4 (d): '12 %', '13 %' "
         "(a percent sign; write 12)"),
        ({"train/t.csv": 'a,b,y\n"1,5",u,0\n'}, Y, "write 1.5). Also, it has text where numbers are expected: "
         "column 2 (b): 'u'. In the spec"),
        ({"train/t.csv": "d,y\n" + "2020-01-01,0\n" * 9}, Y, "under drop: drop: [d]"),
        ({"train/t.parquet": as_parquet(d=pyarrow.array([0], pyarrow.timestamp("us")), y=[0])}, Y, "t.parquet has "
         "dates where numbers are expected: column 1 (d): '1970-01-01 00:00:00'. In the spec, beside "
         "target, name each such column under drop (to learn from a date, write it as a number, such as "
         "its year): drop: [d]"),
        ({"train/t.csv": "a,y\n1,0\ninf,1\n"}, Y, "t.csv:3, column 1 (a) is inf, not a finite number"),
        ({"train/t.csv": "a,y\n1,0\n2,\n"}, Y, "t.csv:3, column 2 (y): the label is missing"),
        ({"train/t.csv": "a,y\n1,0\n2,n/a\n"}, Y, "t.csv:3, column 2 (y): the label 'n/a' is not a number, but other"),
        ({"train/t.csv": SMALL, "train/u.csv": "a,c,y\n"}, Y, "u.csv: there is no column 'b', which the first"),
        ({"train/t.csv": SMALL, "train/u.csv": "a,b,c,y\n"}, Y, "the first training file has no column 'c'"),
        ({"train/t.csv": SMALL, "validation/v.csv": "y,A,c\n1,2,3\n"}, Y, "channel validation: v.csv: there are "
         "no columns 'a', 'b', which the first training file has; did you mean 'A'?"),
        ({"train/t.csv": SMALL, "validation/v.csv": "a,b\n1,2\n"}, Y, "there is no column 'y'"),
        ({"train/t.csv": "a,y\n1,u\n2,v\n", "validation/v.csv": "a,y\n1,w\n"}, Y, "channel validation: the label 'w' "
         "is not in the training data, where there are only u, v"),
        ({"train/t.csv": SMALL, "validation/v.csv": "a,b,y\n1,2,no\n"}, Y, "where there are only numbers"),
        ({"train/t.csv": "c,y\n" + "".join(f"v{n},0\n" for n in range(1002))}, Wanted("y", (), ("c",)),
         "column 1 (c): more than 1,000 different values, such as 'v0', 'v1', 'v2' and 999 more; drop it, or"),
        ({"train/t.csv": "c,y\n" + "".join(f"{n},0\n" for n in range(1002))}, Wanted("y", (), ("c",)),
         "take it out of categorical, to learn from its numbers"),
        ({"train/t.csv": "a,y\n" + "".join(f'1,"{n},5"\n' for n in range(1002))}, Y,
         "column 2 (y): more than 1,000 different values, such as '0,5', '1,5', '2,5' and 999 more; these look like "
         "numbers with a decimal comma; write 0.5"),
        ({"train/t.csv": "a,y\n" + "1,\n" * 9}, Y, "t.csv:2, column 2 (y): the label is missing in 9 rows, also in "
         "3, 4, 5, 6 and 4 more; correct them"),
        ({"train/t.csv": "a,y\n1,yes\n1,no\n", "validation/v.csv": "a,y\n1,True\n"}, Y,
         "channel validation: labels are numbers, or True and False, but in training they are no, yes"),
        ({"train/t.parquet": with_index(y=[0])}, Wanted("id"), "t.parquet: 'id', which target names, is the index of "
         "pandas, which is not read"),
        ({"train/t.csv": "id,y\n1,0\n", "validation/v.csv": "y\n0\n"}, Y, "there is no column 'id'"),
        ({"train/t.json": '[{"a": 1, "y": 0}]'}, Y, "t.json is JSON by its name; write it as CSV or Parquet"),
        ({"train/t.csv": SMALL, "train/u.parquet": b""}, Y, "by their names, its files mix Parquet (u.parquet) and CSV "
         "(t.csv); keep one kind"),
        ({"train/t.jsonl": SMALL}, Y, "the columns of application/jsonlines have no names that target"),
        ({"train/t.parquet": SMALL}, Y, "t.parquet: row 1: not a Parquet file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_mistake_is_named_in_the_words_of_the_file(tmp_path: Path, files: Any, wanted: Wanted, problem: str) -> None:
    with pytest.raises(ClientError) as error:
        load(tmp_path, files, wanted)
    assert problem in str(error.value)


def test_a_target_in_some_files_alone_is_refused(tmp_path: Path) -> None:
    files = {"train/a.csv": SMALL, "test/a.csv": SMALL, "test/b.csv": "a,b\n1,2\n"}
    with pytest.raises(ClientError, match=r"channel test: some files have column 3 \(y\), the target, and some do not"):
        load(tmp_path, files, Y, needs_labels=False)


def test_damaged_files_give_numbers_or_a_reason(tmp_path: Path) -> None:
    whole = b'id,c,a,y\n1,"u, v",2.5,no\r\n2,w,,yes\n3,"a ""b""",1e3,no\n"4\n",w,-1,yes\n'
    bits = (b",", b'"', b"\n", b"\r", b"nan", b"inf", b"1e999", b";", b"\x00", b"\xff", b"_", b"9" * 30)
    chance = random.Random(5)
    read = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 5))):
            start = chance.randrange(len(damaged) + 1)
            damaged[start : start + chance.randrange(4)] = chance.choice((b"", *bits))
        with suppress(ClientError):
            tables, _ = load(tmp_path, {"train/t.csv": bytes(damaged)}, Wanted("y", ("id",), ("c",)))
            assert np.isfinite(tables["train"].features).all()
            assert np.isfinite(tables["train"].labels).all()
            read += 1
    assert 20 < read < 380


def test_columns_of_text_are_named_all_at_once_with_what_to_write(tmp_path: Path) -> None:
    rows = "".join(f"LN-{row},{['rent', 'own'][row % 2]},{row},0\n" for row in range(100))
    with pytest.raises(ClientError) as error:
        load(tmp_path, {"train/loans.csv": f'loan_id,"home: now",fico,y\n{rows}'}, Y)
    assert str(error.value) == (
        "channel train: loans.csv has text where numbers are expected: column 1 (loan_id): 'LN-0', 'LN-1', 'LN-2' and "
        "97 more; column 2 (home: now): 'rent', 'own'. In the spec, beside target, name each such column under "
        'categorical, to learn from it, or under drop: categorical: ["home: now"], drop: [loan_id]'
    )


# -- as processes ----------------------------------------------------------------------------------

COLUMNS = {"target": "defaulted", "drop": ["loan_id"], "categorical": ["purpose", "state"]}
CHURN = {"num_round": 4, "objective": "binary:logistic", "max_depth": 3}


def loans(count: int, first: int = 0, *, classes: tuple[str, str] = ("0", "1")) -> list[str]:
    """Lines as a person has them: an id, texts, gaps, the label last."""
    rng = np.random.default_rng(first)
    purposes = rng.choice(["car", "house", "other, small"], count)
    states = rng.choice(["CA", "NY", "TX", ""], count)
    incomes, amounts = np.abs(rng.normal(50, 15, count)).round(1), rng.integers(1, 40, count)
    bad = (amounts / incomes + 0.3 * (purposes == "car") + rng.normal(0, 0.2, count) > 0.6).astype(int)
    shown = [f"{income}" if row % 9 else "" for row, income in enumerate(incomes)]
    facts = zip(purposes, states, shown, amounts, bad, strict=True)
    return [f'LN-{first + n},"{p}",{s},{i},{a},{classes[b]}' for n, (p, s, i, a, b) in enumerate(facts)]


def as_csv(lines: list[str]) -> str:
    return "\n".join(["loan_id,purpose,state,income,amount,defaulted", *lines, ""])


def prepared(text: str) -> tuple[Any, Any]:
    """The same by pandas: what a person would have prepared by hand."""
    frame = pandas.read_csv(io.StringIO(text)).drop(columns="loan_id")
    labels = frame.pop("defaulted")
    return pandas.get_dummies(frame, columns=["purpose", "state"], dtype=float), labels


def with_columns(tree: Any, columns: Any = COLUMNS) -> Any:
    tree.write_config("columnsconfig", columns)
    return tree


def booster_of(tree: Any) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray((tree.model / "xgboost-model").read_bytes()))
    return booster


def test_the_model_is_the_one_that_preparing_by_hand_gives(make_tree: Any, serve: Any) -> None:
    text = as_csv(loans(400))
    tree = with_columns(make_tree("xgboost", CHURN, {"train": text}))
    code, printed = tree.train()
    assert code == 0, printed
    assert "learns from 4 columns as 8 features: purpose (3 values), state (3 values), income, amount; " in printed
    frame, labels = prepared(text)
    ours = [f"{name.replace('_', '=', 1)}" if "_" in name else name for name in frame.columns]
    order = [ours.index(name) for name in mapping_names(tree)]
    matrix = frame.to_numpy(float)[:, order]
    reference = xgboost.train(CHURN | {"num_round": None}, xgboost.DMatrix(matrix, labels), 4)
    expected = reference.inplace_predict(matrix)
    with serve(tree) as server:
        server.wait_until_it_answers()
        answer = server.invoke(text, "text/csv", "text/csv")
    np.testing.assert_array_equal([float(line) for line in answer.text.split()], np.array(expected, float))


def mapping_names(tree: Any) -> list[str]:
    columns = json.loads((tree.model / ".columns.json").read_text())["features"]
    return [f"{c['name']}={text}" if c["categories"] else c["name"] for c in columns for text in c["categories"] or [0]]


def test_two_hosts_learn_the_mapping_and_the_model_of_one(make_tree: Any, run_hosts: Any) -> None:
    settings = {"predictor_type": "binary_classifier"}
    lines = sorted(loans(300, classes=("good", "bad")), key=lambda line: line.split(",")[1:])  # parts are not alike
    halves = [
        with_columns(
            make_tree("linear-learner", settings, {"train": as_csv(part)}, host=host, hosts=("algo-1", "algo-2"))
        )
        for host, part in (("algo-1", lines[:100]), ("algo-2", lines[100:]))
    ]
    ends = run_hosts(halves)
    assert [code for code, _ in ends] == [0, 0], ends
    alone = with_columns(
        make_tree("linear-learner", settings, {"train": as_csv(lines)}, host="algo-9", hosts=("algo-9",))
    )
    assert alone.train()[0] == 0
    assert (halves[0].model / ".columns.json").read_bytes() == (alone.model / ".columns.json").read_bytes()
    models = [np.load(tree.model / "linear.npz") for tree in (halves[0], alone)]
    np.testing.assert_allclose(models[0]["weights"], models[1]["weights"], rtol=1e-6, atol=1e-8)
    assert not list(halves[1].model.iterdir()), "only the master writes"


def test_what_is_wrong_on_one_host_ends_both_with_it(make_tree: Any, run_hosts: Any) -> None:
    lines = loans(40)
    broken = [*lines[20:], "LN-9,car,CA,many,1,0"]
    hosts = ("algo-1", "algo-2")
    trees = [
        with_columns(make_tree("xgboost", CHURN, {"train": as_csv(part)}, host=host, hosts=hosts))
        for host, part in zip(hosts, (lines[:20], broken), strict=True)
    ]
    assert [code for code, _ in run_hosts(trees)] == [1, 1]
    problem = "algo-2: channel train: part-0:22, column 4 (income): 'many' is not a number, and other rows hold numbers"
    assert all(problem in tree.failure for tree in trees)


ALL = {
    "xgboost": (CHURN, "score"),
    "lightgbm": ({"num_boost_round": 5}, "probabilities"),
    "linear-learner": ({"predictor_type": "binary_classifier", "feature_dim": 4}, "predicted_label"),
    "knn": ({"k": 5, "predictor_type": "classifier", "sample_size": 200}, "predicted_label"),
    "factorization-machines": ({"num_factors": 2, "predictor_type": "binary_classifier"}, "predicted_label"),
    "kmeans": ({"k": 3}, "closest_cluster"),
    "pca": ({"num_components": 2, "algorithm_mode": "randomized"}, "projection"),
    "randomcutforest": ({"num_trees": 50}, "score"),
    "lda": ({"num_topics": 2, "mini_batch_size": 1}, "topic_mixture"),
}


@pytest.mark.parametrize("image", ALL)
def test_every_algorithm_that_reads_tables_learns_and_answers_by_names(make_tree: Any, serve: Any, image: str) -> None:
    settings, field = ALL[image]
    tree = with_columns(make_tree(image, settings, {"train": as_csv(loans(200, classes=("good", "bad")))}))
    code, printed = tree.train()
    assert code == 0, printed
    with serve(tree) as server:
        server.wait_until_it_answers()
        answer = server.invoke('{"instances": [{"purpose": "car", "amount": 30, "income": null}]}', "application/json")
    text = answer.text
    assert answer.status == 200, text
    if image not in ("xgboost", "kmeans"):
        assert field in text
    if field == "predicted_label":
        assert '"predicted_label":"bad"' in text


def test_a_class_is_answered_by_its_name(make_tree: Any, serve: Any) -> None:
    colours = ("red", "green", '"blue, or so"')
    rows = "".join(f"{n % 3 + n / 1000},{colours[n % 3]}\n" for n in range(60))
    settings = {"num_round": 3, "objective": "multi:softmax", "num_class": 3}
    tree = with_columns(make_tree("xgboost", settings, {"train": f"shade,colour\n{rows}"}), {"target": "colour"})
    code, printed = tree.train()
    assert code == 0, printed
    assert "target colour (0 = blue, or so, 1 = green, 2 = red)" in printed
    with serve(tree) as server:
        server.wait_until_it_answers()
        assert server.invoke("0.01\n2.01\n", "text/csv", "text/csv").text == 'red\n"blue, or so"\n'
        assert server.invoke("shade\n1.01\n", "text/csv", "application/json").json == {
            "predictions": [{"score": "green"}]
        }


@pytest.mark.parametrize(
    ("image", "settings"),
    [
        ("lightgbm", {"num_boost_round": 2}),
        ("xgboost", {"num_round": 1, "objective": "multi:softprob", "num_class": 3}),
        ("linear-learner", {"predictor_type": "multiclass_classifier", "num_classes": 3}),
    ],
)
def test_a_list_of_probabilities_comes_with_the_names_of_its_classes(
    make_tree: Any, serve: Any, image: str, settings: Any
) -> None:
    rows = "".join(f"{n % 3 + n / 1000},{['red', 'green', 'blue'][n % 3]}\n" for n in range(60))
    tree = with_columns(make_tree(image, settings, {"train": f"shade,colour\n{rows}"}), {"target": "colour"})
    code, printed = tree.train()
    assert code == 0, printed
    with serve(tree) as server:
        server.wait_until_it_answers()
        for kind in ("application/json", "application/jsonlines"):
            answer = json.loads(server.invoke("0.01\n", "text/csv", kind).text)
            row = answer["predictions"][0] if "predictions" in answer else answer
            assert row["labels"] == ["blue", "green", "red"]
        lists = server.invoke("0.01\n1.01\n", "text/csv", "text/csv").text.splitlines()
        assert len(lists) == 2
        assert "blue" not in lists[0].split(",")[:3]


QUANTITIES = {
    "xgboost": {"num_round": 1},
    "lightgbm": {"objective": "huber"},
    "linear-learner": {"predictor_type": "regressor"},
    "knn": {"k": 1, "predictor_type": "regressor", "sample_size": 9},
    "factorization-machines": {"num_factors": 2, "predictor_type": "regressor"},
}


@pytest.mark.parametrize("image", QUANTITIES)
def test_text_is_no_quantity(make_tree: Any, image: str) -> None:
    tree = with_columns(make_tree(image, QUANTITIES[image], {"train": as_csv(loans(20, classes=("no", "yes")))}))
    assert tree.train()[0] == 1
    problem = r"channel train: column 6 \(defaulted\): labels are text, as 'no', 'yes', but (\w+)=\S+ learns quantities"
    assert re.search(problem, tree.failure), tree.failure


# -- requests --------------------------------------------------------------------------------------


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
