"""pca as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA, TruncatedSVD

from tests.images.record import framed, labels_in, record_of
from tests.images.tables import as_csv, metrics_in

IMAGE = "pca"
UNLABELLED = "text/csv;label_size=0"


def arrays_of(tree: Any) -> Any:
    with np.load(tree.model / "pca.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def with_signs_of(components: Any, reference: Any) -> Any:
    return components * np.sign(np.sum(components * reference, axis=1))[:, np.newaxis]


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_components_are_those_of_scikit_learn(make_tree: Any, mode: Any) -> None:
    rows = load_digits().data
    settings = {"num_components": 5, "feature_dim": 64, "algorithm_mode": mode}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows), "test": as_csv(rows[:50])}, content_type=UNLABELLED)
    code, printed = tree.train()
    assert code == 0, printed
    reference = PCA(5, svd_solver="full").fit(rows)
    found, tolerance = arrays_of(tree), 1e-8 if mode == "regular" else 1e-3
    largest_last = reference.components_[::-1]
    np.testing.assert_allclose(with_signs_of(found["components"], largest_last), largest_last, atol=tolerance)
    np.testing.assert_allclose(found["variances"], reference.explained_variance_[::-1], rtol=tolerance)
    np.testing.assert_allclose(found["mean"], reference.mean_)
    metrics = metrics_in(IMAGE, printed)
    assert metrics["train:explained_variance_ratio"] == pytest.approx(
        reference.explained_variance_ratio_.sum(), rel=tolerance
    )
    assert 0.4 < metrics["test:explained_variance_ratio"] < 0.8


def test_mean_is_left_in_on_request(make_tree: Any) -> None:
    rows = load_breast_cancer().data
    settings = {"num_components": 3, "feature_dim": 30, "subtract_mean": "false"}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED)
    assert tree.train()[0] == 0
    reference = TruncatedSVD(3, algorithm="arpack").fit(rows).components_[::-1]
    found = arrays_of(tree)
    np.testing.assert_allclose(with_signs_of(found["components"], reference), reference, atol=1e-6)
    assert not found["mean"].any()


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_two_hosts_find_the_components_of_one(make_tree: Any, run_hosts: Any, mode: Any) -> None:
    rows = load_breast_cancer().data
    settings = {"num_components": 6, "feature_dim": 30, "algorithm_mode": mode, "extra_components": 4}
    hosts = ("algo-1", "algo-2")
    halves = [
        make_tree(IMAGE, settings, {"train": as_csv(part)}, content_type=UNLABELLED, host=host, hosts=hosts)
        for host, part in zip(hosts, (rows[:100], rows[100:]), strict=True)
    ]
    whole = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED, host="alone", hosts=("alone",))
    results = run_hosts(halves)
    assert [code for code, _ in results] == [0, 0], results
    assert whole.train()[0] == 0
    ours, theirs = arrays_of(halves[0]), arrays_of(whole)
    for name in ("mean", "components", "variances"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-9)
    assert not list(halves[1].model.iterdir()), "only the master writes"
    assert "#quality_metric" not in results[1][1], "only the master reports"


def test_stop_before_there_are_components_ends_at_once(make_tree: Any) -> None:
    rows = "\n".join(["1,2,3"] * 10)
    tree = make_tree(
        IMAGE,
        {"num_components": 1, "feature_dim": 3},
        {"train": rows},
        content_type=UNLABELLED,
        hosts=("algo-1", "algo-2"),
    )
    process = tree.start("train", SM_MASTER_ADDR="127.0.0.1", SM_MASTER_PORT="0")
    assert process.stdout is not None
    next(line for line in process.stdout if "waiting for 2 hosts" in line)
    process.send_signal(signal.SIGTERM)
    assert "stopped before there was a model to keep" in process.communicate(timeout=20)[0]
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "1,2\n", "num_components is required"),
        ({"num_components": 3}, "1,2\n", "num_components=3 is more than the number of features, 2"),
        ({"num_components": 1, "feature_dim": 3}, "1,2\n", "feature_dim=3, but the data has 2 features"),
        ({"num_components": 1, "feature_dim": 2, "algorithm_mode": "fast"}, "1,2\n", "one of regular, randomized"),
        ({"num_components": 1, "feature_dim": 2, "extra_components": -2}, "1,2\n", "must be at least -1"),
        ({"num_components": 1, "feature_dim": 2}, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train}, content_type=UNLABELLED)
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: ")
    assert message in tree.failure


@pytest.fixture(scope="module")
def model(make_module_tree: Any) -> Any:
    rows = load_breast_cancer().data[:, :4]
    tree = make_module_tree(
        IMAGE, {"num_components": 2, "feature_dim": 4}, {"train": as_csv(rows)}, content_type=UNLABELLED
    )
    assert tree.train()[0] == 0
    return tree


@pytest.fixture(scope="module")
def served(model: Any, serve_for_module: Any) -> Iterator[Any]:
    with serve_for_module(model) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_projections_are_those_of_scikit_learn(served: Any) -> None:
    rows = load_breast_cancer().data[:, :4]
    expected = PCA(2).fit(rows).transform(rows)[:, ::-1]
    answer = served.invoke(as_csv(rows), "text/csv").json
    found = np.array([row["projection"] for row in answer["projections"]])
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("accept", "pattern"),
    [
        ("", r'\{"projections":\[\{"projection":\[\S+,\S+\]\}\]\}'),
        ("application/jsonlines", r'\{"projection":\[\S+,\S+\]\}\n'),
        ("text/csv", r"[-.\d]+,[-.\d]+\n"),
    ],
)
def test_answers_by_accept(served: Any, accept: Any, pattern: Any) -> None:
    body = json.dumps({"instances": [{"data": {"features": {"keys": [1], "values": [20], "shape": [4]}}}]})
    reply = served.invoke(body, "application/json", accept)
    assert re.fullmatch(pattern, reply.text), reply.text


def test_records_in_and_out(served: Any) -> None:
    row = [17.99, 10.38, 122.8, 1001.0]
    expected = served.invoke(as_csv(np.array([row])), "text/csv").json["projections"][0]["projection"]
    recordio = "application/x-recordio-protobuf"
    answer = labels_in(served.invoke(framed(record_of(row, kind="float64")), recordio, recordio).body)
    assert answer[0]["projection"] == pytest.approx(expected, rel=1e-6)
