"""kmeans as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris

from tests.images.record import framed, labels_in, record_of
from tests.images.tables import as_csv, metrics_in

IMAGE = "kmeans"
UNLABELLED = "text/csv;label_size=0"


def centers_of(tree: Any) -> Any:
    with np.load(tree.model / "kmeans.npz", allow_pickle=False) as arrays:
        return arrays["centers"]


def digits() -> Any:
    return load_digits().data[:900]


@pytest.mark.parametrize("init_method", ["random", "kmeans++"])
def test_clusters_are_as_close_as_those_of_scikit_learn(make_tree: Any, init_method: Any) -> None:
    rows = digits()
    settings = {"k": 10, "feature_dim": 64, "init_method": init_method, "eval_metrics": '["msd", "ssd"]'}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows), "test": as_csv(rows[:100])}, content_type=UNLABELLED)
    code, printed = tree.train()
    assert code == 0, printed
    reference = KMeans(10, n_init=10, random_state=0).fit(rows)
    metrics = metrics_in(IMAGE, printed)
    assert metrics["train:ssd"] <= reference.inertia_ * 1.02
    assert metrics["train:msd"] == pytest.approx(metrics["train:ssd"] / 900)
    squares = np.square(rows[:100, np.newaxis] - centers_of(tree)).sum(axis=2).min(axis=1)
    assert metrics["test:msd"] == pytest.approx(squares.mean())
    assert metrics["test:ssd"] == pytest.approx(squares.sum())


def test_centers_have_settled_in_the_middle_of_their_rows(make_tree: Any) -> None:
    rows = digits()
    settings = {"k": 7, "feature_dim": 64, "local_lloyd_tol": 0}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED)
    assert tree.train()[0] == 0
    centers = centers_of(tree)
    again = KMeans(7, init=centers, n_init=1, tol=0).fit(rows)
    np.testing.assert_allclose(again.cluster_centers_, centers, atol=1e-9)


@pytest.mark.parametrize("replicated", [False, True], ids=["sharded", "replicated"])
def test_two_hosts_find_the_centers_of_one(make_tree: Any, run_hosts: Any, replicated: Any) -> None:
    """Iris is full of equal rows and of rows in the middle between two others."""
    rows = load_iris().data
    settings = {"k": 8, "feature_dim": 4}
    hosts = ("algo-1", "algo-2")
    trees = [
        make_tree(
            IMAGE,
            settings,
            {"train": as_csv(rows if replicated else rows[part::2])},
            content_type=UNLABELLED,
            host=host,
            hosts=hosts,
            replicated=("train",) if replicated else (),
        )
        for part, host in enumerate(hosts)
    ]
    whole = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED, host="alone", hosts=("alone",))
    results = run_hosts(trees)
    assert [code for code, _ in results] == [0, 0], results
    assert whole.train()[0] == 0
    np.testing.assert_allclose(centers_of(trees[0]), centers_of(whole), rtol=1e-9)
    assert not list(trees[1].model.iterdir()), "only the master writes"
    assert "#quality_metric" not in results[1][1], "only the master reports"


def test_centers_depend_neither_on_the_order_of_rows_nor_on_their_number(make_tree: Any) -> None:
    rows = load_iris().data
    others = np.random.default_rng(0).permutation(np.repeat(rows, 3, axis=0))
    found = []
    for host, given in (("one", rows), ("other", others)):
        tree = make_tree(
            IMAGE,
            {"k": 5, "feature_dim": 4},
            {"train": as_csv(given)},
            content_type=UNLABELLED,
            host=host,
            hosts=(host,),
        )
        assert tree.train()[0] == 0
        found.append(centers_of(tree))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_sigterm_ends_training_early_and_keeps_the_centers(make_tree: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(40_000, 8))  # nothing to find: it takes long
    settings = {"k": 100, "feature_dim": 8, "local_lloyd_tol": 0, "local_lloyd_max_iter": 100_000}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows.round(3))}, content_type=UNLABELLED)
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if "epoch=1," in line)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert "stopping early" in printed
    assert centers_of(tree).shape == (100, 8)


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "1,2\n", "k is required"),
        (
            {"k": 0, "feature_dim": 2, "init_method": "best"},
            "1,2\n",
            "init_method=best: must be one of random",
        ),
        ({"k": 0, "feature_dim": 2}, "1,2\n", "k=0: must be at least 1"),
        ({"k": 1, "feature_dim": 2, "extra_center_factor": "x"}, "1,2\n", "must be a whole number or auto"),
        ({"k": 1, "feature_dim": 2, "eval_metrics": '["mse"]'}, "1,2\n", "must be a JSON list of some of msd, ssd"),
        ({"k": 1, "feature_dim": 2, "eval_metrics": "[[]]"}, "1,2\n", "must be a JSON list of some of msd, ssd"),
        ({"k": 3, "feature_dim": 2}, "1,2\n3,4\n1,2\n", "k=3, but channel train has only 2 different rows"),
        ({"k": 1, "feature_dim": 3}, "1,2\n", "feature_dim=3, but the data has 2 features in channel train"),
        ({"k": 1, "feature_dim": 2}, "1,\n", "part-0:1, column 2 is empty"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train}, content_type=UNLABELLED)
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: ")
    assert message in tree.failure


def test_first_column_that_is_no_label_is_noticed(make_tree: Any) -> None:
    tree = make_tree(IMAGE, {"k": 1, "feature_dim": 2}, {"train": "1,2\n"})
    assert tree.train()[0] == 1
    assert "feature_dim=2, but the data has 1 features in channel train; its first column is taken" in tree.failure


@pytest.fixture(scope="module")
def model(make_module_tree: Any) -> Any:
    settings = {"k": 3, "feature_dim": 4, "mini_batch_size": 500}
    rows = framed(*(record_of(row, kind="float64") for row in load_iris().data))
    tree = make_module_tree(IMAGE, settings, {"train": rows}, content_type="application/x-recordio-protobuf")
    code, printed = tree.train()
    assert code == 0, printed
    assert "hyperparameter mini_batch_size has no effect" in printed
    return tree


@pytest.fixture(scope="module")
def served(model: Any, serve_for_module: Any) -> Iterator[Any]:
    with serve_for_module(model) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_rows_get_their_closest_center_and_its_distance(served: Any, model: Any) -> None:
    rows = load_iris().data
    distances = np.linalg.norm(rows[:, np.newaxis] - centers_of(model), axis=2)
    predictions = served.invoke(as_csv(rows), "text/csv").json["predictions"]
    assert [row["closest_cluster"] for row in predictions] == distances.argmin(axis=1).tolist()
    assert [row["distance_to_cluster"] for row in predictions] == pytest.approx(distances.min(axis=1).tolist())


@pytest.mark.parametrize(
    ("accept", "pattern"),
    [
        ("", r'\{"predictions":\[\{"closest_cluster":\d\.0,"distance_to_cluster":0\.\d+\}\]\}'),
        ("application/jsonlines", r'\{"closest_cluster":\d\.0,"distance_to_cluster":0\.\d+\}\n'),
        ("text/csv", r"\d\.0,0\.\d+\n"),
    ],
)
def test_answers_by_accept(served: Any, accept: Any, pattern: Any) -> None:
    body = framed(record_of([5.1, 3.5, 1.4, 0.2]))
    reply = served.invoke(body, "application/x-recordio-protobuf", accept)
    assert re.fullmatch(pattern, reply.text), reply.text


def test_answer_in_records(served: Any) -> None:
    body = json.dumps({"instances": [{"features": [5.1, 3.5, 1.4, 0.2]}]})
    expected = served.invoke(body, "application/json").json["predictions"][0]
    answer = labels_in(served.invoke(body, "application/json", "application/x-recordio-protobuf").body)[0]
    assert {name: values[0] for name, values in answer.items()} == pytest.approx(expected, rel=1e-6)
