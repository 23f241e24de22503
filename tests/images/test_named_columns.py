"""Channels whose columns have names: what is learned from a user's own file as it comes."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
import xgboost
from toolkit.columns import Wanted

from tests.images.named_columns import (
    CHURN,
    SMALL,
    Y,
    as_csv,
    as_parquet,
    load,
    loans,
    with_columns,
    with_index,
)


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


def prepared(text: str) -> tuple[Any, Any]:
    """The same by pandas: what a person would have prepared by hand."""
    frame = pandas.read_csv(io.StringIO(text)).drop(columns="loan_id")
    labels = frame.pop("defaulted")
    return pandas.get_dummies(frame, columns=["purpose", "state"], dtype=float), labels


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
