"""lightgbm as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import roc_auc_score

from tests.images.tables import as_csv, halves, metrics_in

IMAGE = "lightgbm"
SMALL = {"num_boost_round": 8, "num_leaves": 8, "early_stopping_rounds": 0, "verbosity": -1}
HOSTED_DEFAULTS = {
    "feature_fraction": 0.9,
    "bagging_fraction": 0.9,
    "bagging_freq": 1,
    "max_depth": 6,
    "min_data_in_leaf": 3,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


def booster_of(tree: Any) -> lightgbm.Booster:
    return lightgbm.Booster(model_file=tree.model / "lightgbm-model.txt")


def shuffled(data: Any) -> tuple[Any, Any]:
    features, labels = data
    order = np.random.default_rng(0).permutation(len(labels))
    return features[order], labels[order]


@pytest.mark.parametrize(
    ("load", "objective", "class_count", "metric"),
    [
        (load_breast_cancer, "binary", 1, "binary_logloss"),
        (load_iris, "multiclass", 3, "multi_logloss"),
        (load_diabetes, "regression", 1, "rmse"),
    ],
)
def test_model_and_metric_are_those_of_lightgbm(
    make_tree: Any, load: Any, objective: Any, class_count: Any, metric: Any
) -> None:
    features, labels = shuffled(load(return_X_y=True))
    cut = len(labels) * 2 // 3
    rows = {"train": as_csv(features[:cut], labels[:cut]), "validation": as_csv(features[cut:], labels[cut:])}
    tree = make_tree(IMAGE, SMALL, rows)
    code, printed = tree.train()
    assert code == 0, tree.failure
    results: dict[str, Any] = {}
    data = lightgbm.Dataset(features[:cut], labels[:cut])
    reference = lightgbm.train(
        HOSTED_DEFAULTS | {"objective": objective, "num_class": class_count, "num_leaves": 8, "metric": metric},
        data,
        num_boost_round=8,
        valid_sets=[data.create_valid(features[cut:], labels[cut:])],
        valid_names=["validation"],
        callbacks=[lightgbm.record_evaluation(results)],
    )
    np.testing.assert_allclose(booster_of(tree).predict(features), reference.predict(features), rtol=1e-9)
    assert metrics_in(IMAGE, printed) == {metric: pytest.approx(results["validation"][metric][-1], rel=1e-6)}


@pytest.mark.parametrize("replicated", [(), ("train", "validation")], ids=["sharded", "replicated"])
def test_two_hosts_make_one_model_of_all_rows(make_tree: Any, run_hosts: Any, replicated: Any) -> None:
    features, labels = shuffled(load_breast_cancer(return_X_y=True))
    train, validation = as_csv(features[:400], labels[:400]), as_csv(features[400:], labels[400:])
    settings = SMALL | {"bagging_freq": 0, "feature_fraction": 1.0, "num_boost_round": 30, "early_stopping_rounds": 3}
    hosts = ("algo-1", "algo-2")
    parts = [(train, validation)] * 2 if replicated else list(zip(halves(train), halves(validation), strict=True))
    pair = [
        make_tree(
            IMAGE, settings, {"train": part[0], "validation": part[1]}, host=host, hosts=hosts, replicated=replicated
        )
        for host, part in zip(hosts, parts, strict=True)
    ]
    alone = make_tree(IMAGE, settings, {"train": train, "validation": validation}, host="alone", hosts=("alone",))
    results = run_hosts(pair)
    assert [code for code, _ in results] == [0, 0], pair[0].failure + pair[1].failure
    assert alone.train()[0] == 0
    ours, theirs = booster_of(pair[0]).predict(features[400:]), booster_of(alone).predict(features[400:])
    assert roc_auc_score(labels[400:], ours) == pytest.approx(roc_auc_score(labels[400:], theirs), abs=0.01)
    assert booster_of(pair[0]).num_trees() > 5
    assert not list(pair[1].model.iterdir()), "only the master writes"
    assert "validation's" not in results[1][1], "only the master reports"


def test_early_stopping_keeps_the_best_round(make_tree: Any) -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(300, 4)), rng.integers(0, 2, 300)  # nothing to learn: it gets worse soon
    settings = SMALL | {"num_boost_round": 200, "early_stopping_rounds": 3}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels), "validation": as_csv(-features, labels)})
    code, printed = tree.train()
    assert code == 0
    losses = [float(line.rpartition(" ")[2]) for line in printed.splitlines() if "binary_logloss" in line]
    assert len(losses) < 200
    assert booster_of(tree).num_trees() == int(np.argmin(losses)) + 1


def test_a_fifth_is_held_out_where_there_is_no_validation(make_tree: Any) -> None:
    features, labels = shuffled(load_diabetes(return_X_y=True))
    tree = make_tree(IMAGE, SMALL, {"train": as_csv(features, labels)})
    code, printed = tree.train()
    assert code == 0
    assert "rmse" in metrics_in(IMAGE, printed)
    root_rows = booster_of(tree).dump_model()["tree_info"][0]["tree_structure"]["internal_count"]
    assert 0.9 * 0.75 < root_rows / len(labels) < 0.9 * 0.85


def test_the_one_channel_of_the_hosted_container_is_taken_apart(make_tree: Any) -> None:
    rng = np.random.default_rng(0)
    category = rng.integers(0, 6, 400)
    features = np.column_stack([rng.normal(size=400), category])
    labels = np.isin(category, (1, 4)).astype(float)
    tree = make_tree(IMAGE, SMALL, {"training": ""})
    tree.write_channel("training/train", as_csv(features, labels), file_name="data.csv")
    tree.write_channel("training/validation", as_csv(features, labels), file_name="data.csv")
    (tree.base / "input/data/training/part-0").unlink()
    tree.write_channel("training", json.dumps({"cat_index_list": [2]}), file_name="categorical_index.json")
    assert tree.train()[0] == 0, tree.failure
    assert booster_of(tree).dump_model()["tree_info"][0]["tree_structure"]["decision_type"] == "=="
    tree.write_channel("training", '{"cat_index_list": [0]}', file_name="categorical_index.json")
    assert tree.train()[0] == 1
    assert 'categorical_index.json: must hold {"cat_index_list": [column, ...]}, columns from 1 on' in tree.failure


def test_parquet_is_read_as_csv_is(make_tree: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    columns = {f"column {number}": values for number, values in enumerate(np.column_stack([labels, features]).T)}
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    trees = [
        make_tree(IMAGE, SMALL, {"train": rows}, content_type=content_type, host=host, hosts=(host,))
        for host, rows, content_type in (
            ("csv", as_csv(features, labels), "text/csv"),
            ("parquet", file.getvalue(), "application/x-parquet"),
        )
    ]
    assert [tree.train()[0] for tree in trees] == [0, 0], trees[1].failure
    assert booster_of(trees[0]).model_to_string() == booster_of(trees[1]).model_to_string()


def test_sigterm_ends_training_early_and_keeps_the_model(make_tree: Any) -> None:
    features, labels = load_diabetes(return_X_y=True)
    tree = make_tree(IMAGE, SMALL | {"num_boost_round": 1000000}, {"train": as_csv(features, labels)})
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("[3]"))
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert booster_of(tree).num_trees() >= 3


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        (
            {"num_leaves": 1, "learning_rate": 2},
            "1,2\n",
            "learning_rate=2: must be above 0 and at most 1; num_leaves=1: must be at least 2 and at most 131072",
        ),
        ({"num_leafs": 3}, "1,2\n", "num_leafs is unknown; did you mean num_leaves?"),
        ({"is_unbalance": "True", "scale_pos_weight": 2}, "1,2\n", "exclude each other"),
        ({"boosting": "rf", "bagging_freq": 0}, "1,2\n", "boosting=rf needs bagging_freq above 0"),
        ({"metric": "auc"}, "1.5,2\n2,2\n", "metric=auc does not fit objective regression; rmse, l1"),
        ({"objective": "binary"}, "0,2\n3,2\n", "label 3 does not fit binary, it must be from 0 to 1"),
        ({"objective": "poisson"}, "0,2\n-3,2\n", "label -3 does not fit poisson"),
        ({"num_class": 3}, "0,2\n5,2\n", "label 5 does not fit multiclass, it must be from 0 to 2"),
        ({}, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: "), tree.failure
    assert message in tree.failure


def test_host_without_rows_is_refused_on_all(make_tree: Any, run_hosts: Any) -> None:
    hosts = ("algo-1", "algo-2")
    rows = {"validation": "1,2\n0,3\n"}
    full = make_tree(IMAGE, SMALL, rows | {"train": "1,2\n0,3\n"}, hosts=hosts)
    empty = make_tree(IMAGE, SMALL, rows | {"train": ""}, host="algo-2", hosts=hosts)
    assert [code for code, _ in run_hosts([full, empty])] == [1, 1]
    assert full.failure.startswith("ClientError: algo-2: no rows to train on; LightGBM needs some on every host")


@pytest.fixture(scope="module")
def model(make_module_tree: Any) -> Any:
    features, labels = load_breast_cancer(return_X_y=True)
    tree = make_module_tree(IMAGE, SMALL, {"train": as_csv(features[:, :3], labels)})
    assert tree.train()[0] == 0
    return tree


@pytest.fixture(scope="module")
def served(model: Any, serve_for_module: Any) -> Iterator[Any]:
    with serve_for_module(model) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_answers_as_the_hosted_container_does(served: Any, model: Any) -> None:
    rows = np.array([[17.99, 10.38, 122.8], [8.0, np.nan, 50.0]])
    positive = np.asarray(booster_of(model).predict(rows))
    expected = [[pytest.approx(1 - chance), pytest.approx(chance)] for chance in positive]
    csv = "17.99,10.38,122.8\n8,,50"
    assert served.invoke(csv, "text/csv").json == {"probabilities": expected}
    assert served.invoke(csv, "text/csv", "application/json;verbose").json == {
        "probabilities": expected,
        "labels": [0, 1],
        "predicted_label": (positive > 0.5).astype(int).tolist(),
    }
    lines = served.invoke(csv, "text/csv", "application/jsonlines").text.splitlines()
    assert [json.loads(line)["probabilities"] for line in lines] == expected
    answer = served.invoke(csv, "text/csv", "text/csv").text
    assert [[float(number) for number in line.split(",")] for line in answer.splitlines()] == expected
    reply = served.invoke("1,2", "text/csv")
    assert (reply.status, reply.text) == (400, "expected 3 features, got 2\n")


def test_regression_answers_with_predictions(make_tree: Any, serve: Any) -> None:
    features, labels = load_diabetes(return_X_y=True)
    tree = make_tree(IMAGE, SMALL, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        answer = server.invoke(as_csv(features[:2]), "text/csv").json
        assert answer == {"prediction": [pytest.approx(value) for value in booster_of(tree).predict(features[:2])]}
        assert server.stop() == 0


def test_a_warning_of_every_round_comes_once(make_tree: Any) -> None:
    rows = "".join(f"{row % 2},{row % 2}\n" for row in range(40))
    code, printed = make_tree(IMAGE, SMALL | {"verbosity": 1}, {"train": rows}).train()
    assert code == 0, printed
    assert printed.count("No further splits with positive gain") == 1
