"""knn as a process: what it keeps and finds, what it refuses, what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from tests.images.tables import as_csv, halves, metrics_in

IMAGE = "knn"
IRIS = {"k": 5, "feature_dim": 4, "predictor_type": "classifier", "sample_size": 1000}


def index_of(tree: Any) -> dict[str, Any]:
    with np.load(tree.model / "knn.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_classifier_equals_scikit_learn(make_tree: Any) -> None:
    features, labels = load_digits(return_X_y=True)
    features = features + np.random.default_rng(0).normal(scale=1e-6, size=features.shape)  # no ties
    settings = IRIS | {"k": 3, "feature_dim": 64, "sample_size": 10000}
    tree = make_tree(
        IMAGE,
        settings,
        {"train": as_csv(features[:1200], labels[:1200]), "test": as_csv(features[1200:], labels[1200:])},
    )
    code, printed = tree.train()
    assert code == 0
    reference = KNeighborsClassifier(3).fit(features[:1200], labels[:1200])
    assert metrics_in(IMAGE, printed) == {
        "test:accuracy": pytest.approx(reference.score(features[1200:], labels[1200:]), abs=1e-9)
    }


@pytest.mark.parametrize("metric", ["L2", "COSINE"])
def test_regressor_equals_scikit_learn(make_tree: Any, metric: Any) -> None:
    features, labels = load_diabetes(return_X_y=True)
    settings = {"k": 7, "feature_dim": 10, "predictor_type": "regressor", "sample_size": 9999, "index_metric": metric}
    rows = {"train": as_csv(features[:300], labels[:300]), "test": as_csv(features[300:], labels[300:])}
    code, printed = make_tree(IMAGE, settings, rows).train()
    assert code == 0
    reference = KNeighborsRegressor(7, metric="cosine" if metric == "COSINE" else "euclidean")
    predicted = reference.fit(features[:300], labels[:300]).predict(features[300:])
    assert metrics_in(IMAGE, printed)["test:mse"] == pytest.approx(np.mean((predicted - labels[300:]) ** 2), rel=1e-8)


def test_of_several_labels_that_are_as_frequent_the_smallest_counts(make_tree: Any) -> None:
    rows = "2,0\n1,0.1\n1,0.2\n2,0.3\n"
    settings = {"k": 4, "feature_dim": 1, "predictor_type": "classifier", "sample_size": 4}
    code, printed = make_tree(IMAGE, settings, {"train": rows, "test": "1,0\n2,0\n"}).train()
    assert code == 0
    assert metrics_in(IMAGE, printed) == {"test:accuracy": 0.5}


def test_sample_is_of_the_size_asked_for(make_tree: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    tree = make_tree(IMAGE, IRIS | {"sample_size": 40}, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0
    index = index_of(tree)
    assert index["points"].shape == (40, 4)
    known = {tuple(row) for row in np.column_stack([labels, features])}
    assert {tuple(row) for row in np.column_stack([index["labels"], index["points"]])} <= known


@pytest.mark.parametrize("replicated", [(), ("train", "test")], ids=["sharded", "replicated"])
def test_two_hosts_keep_what_one_would(make_tree: Any, run_hosts: Any, replicated: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    order = np.random.default_rng(3).permutation(len(labels))
    rows = as_csv(features[order], labels[order])
    settings = IRIS | {"sample_size": 90}
    hosts = ("algo-1", "algo-2")
    parts = [rows, rows] if replicated else halves(rows)
    pair = [
        make_tree(IMAGE, settings, {"train": part, "test": part}, host=host, hosts=hosts, replicated=replicated)
        for host, part in zip(hosts, parts, strict=True)
    ]
    alone = make_tree(IMAGE, settings, {"train": rows, "test": rows}, host="alone", hosts=("alone",))
    results = run_hosts(pair)
    code, printed = alone.train()
    assert [code, *(code for code, _ in results)] == [0, 0, 0]
    ours, theirs = index_of(pair[0]), index_of(alone)
    for name in ("points", "labels"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert metrics_in(IMAGE, results[0][1]) == metrics_in(IMAGE, printed)
    assert not list(pair[1].model.iterdir()), "only the master writes"


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
def test_reduction_keeps_distances_about(make_tree: Any, kind: Any) -> None:
    features, labels = load_digits(return_X_y=True)
    settings = IRIS | {"feature_dim": 64, "dimension_reduction_type": kind, "dimension_reduction_target": 32}
    rows = {"train": as_csv(features[:600], labels[:600]), "test": as_csv(features[600:], labels[600:])}
    tree = make_tree(IMAGE, settings, rows)
    code, printed = tree.train()
    assert code == 0
    points = index_of(tree)["points"]
    assert points.shape == (600, 32)
    ratios = np.linalg.norm(points[1:] - points[:-1], axis=1) / np.linalg.norm(features[1:600] - features[:599], axis=1)
    assert 0.9 < ratios.mean() < 1.1
    assert ratios.std() < 0.2
    assert metrics_in(IMAGE, printed)["test:accuracy"] > 0.85


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        (
            {},
            "1,2\n",
            "k is required: Number of nearest neighbours; predictor_type is required",
        ),
        (
            IRIS | {"predictor_type": "clasifier"},
            "1,2\n",
            "predictor_type=clasifier: must be one of classifier, regressor",
        ),
        (IRIS, "1,2\n", "feature_dim=4, but the data has 1"),
        (IRIS | {"feature_dim": 1}, "1,2\n0,3\n", "k=5, but the sample has only 2 rows"),
        (IRIS | {"dimension_reduction_type": "sign"}, "", "sign needs dimension_reduction_target"),
        (IRIS | {"dimension_reduction_target": 2}, "", "needs dimension_reduction_type, sign or fjlt"),
        (
            IRIS | {"dimension_reduction_type": "fjlt", "dimension_reduction_target": 4},
            "0,1,2,3,4\n",
            "dimension_reduction_target=4 must be below the number of features, 4",
        ),
        (IRIS | {"index_type": "faiss.IVFPQ", "index_metric": "COSINE"}, "", "does not go with faiss.IVFPQ; L2 does"),
        (IRIS, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: ")
    assert message in tree.failure


def test_other_index_is_taken_as_exact_and_said_so(make_tree: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    settings = IRIS | {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 8}
    code, printed = make_tree(IMAGE, settings, {"train": as_csv(features, labels)}).train()
    assert code == 0
    assert "index_type=faiss.IVFFlat acts as faiss.Flat" in printed
    assert "faiss_index_ivf_nlists has no effect" in printed


@pytest.fixture(scope="module")
def served(make_module_tree: Any, serve_for_module: Any) -> Iterator[Any]:
    features, labels = load_iris(return_X_y=True)
    tree = make_module_tree(IMAGE, IRIS | {"k": 3}, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0
    with serve_for_module(tree) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_answers_by_accept(served: Any) -> None:
    rows = "5.1,3.5,1.4,0.2\n6.3,2.5,5.0,1.9"
    table = [
        ("", "application/json", '{"predictions":[{"predicted_label":0.0},{"predicted_label":2.0}]}'),
        ("application/jsonlines", "application/jsonlines", '{"predicted_label":0.0}\n{"predicted_label":2.0}\n'),
        ("text/csv", "text/csv", "0.0\n2.0\n"),
    ]
    for accept, content_type, text in table:
        reply = served.invoke(rows, "text/csv", accept)
        assert (reply.status, reply.headers["content-type"], reply.text) == (200, content_type, text)


def test_verbose_adds_distances_and_labels_nearest_first(served: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    body = json.dumps({"instances": [{"features": [5.0, 3.0, 1.5, 0.25]}]})
    prediction = served.invoke(body, "application/json", "application/json; verbose=true").json["predictions"][0]
    distances, places = KNeighborsClassifier(3).fit(features, labels).kneighbors([[5.0, 3.0, 1.5, 0.25]])
    assert prediction["distances"] == pytest.approx(distances[0])
    assert prediction["labels"] == labels[places[0]].tolist()
    assert prediction["predicted_label"] == 0.0


def test_wrong_width_is_said(served: Any) -> None:
    reply = served.invoke("1,2", "text/csv")
    assert (reply.status, reply.text) == (400, "expected 4 features, got 2\n")
