"""factorization-machines as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge

from tests.images.tables import IMAGES, as_csv, halves, metrics_in

IMAGE = "factorization-machines"
BINARY = {"feature_dim": 30, "num_factors": 3, "predictor_type": "binary_classifier"}
NO_FACTORS = {"factors_init_method": "constant", "factors_init_value": 0}  # where they stay: the model is linear


@pytest.fixture(autouse=True, scope="module")
def importable() -> Iterator[None]:
    sys.path.insert(0, str(IMAGES / IMAGE))
    yield
    sys.path.remove(str(IMAGES / IMAGE))


def machine_of(tree: Any) -> Any:
    from machine_model import Machine

    return Machine.load(tree.model)


def standardised(features: Any) -> Any:
    return (features - features.mean(axis=0)) / features.std(axis=0)


def with_pairs(rows: int = 600) -> tuple[Any, Any, Any]:
    """One feature of each of two groups of ten is 1; the label is a table of both, of rank 2."""
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 10, (2, rows))
    table = rng.normal(size=(10, 2)) @ rng.normal(size=(2, 10))
    features = np.zeros((rows, 20))
    features[np.arange(rows), left] = 1
    features[np.arange(rows), 10 + right] = 1
    return features, table[left, right], table


def as_libsvm(features: Any, labels: Any) -> str:
    return "\n".join(
        f"{label} " + " ".join(f"{index}:{row[index]}" for index in np.flatnonzero(row).tolist())
        for label, row in zip(labels.tolist(), features, strict=True)
    )


@pytest.mark.parametrize("make", [np.asarray, csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("kind", ["binary_classifier", "regressor"])
def test_gradient_is_that_of_the_loss(make: Any, kind: Any) -> None:
    from machine_training import Hyperparameters, Objective
    from toolkit.data import Table
    from toolkit.hosts import Hosts
    from toolkit.training import Stop

    rng = np.random.default_rng(0)
    settings = Hyperparameters(2, kind, factors_wd=0.3, factors_init_sigma=0.5)
    table = Table(rng.integers(0, 2, 20).astype(float), make(rng.normal(size=(20, 4))))
    objective = Objective(Hosts(("algo-1",), "algo-1"), settings, table, Stop())
    assert check_grad(lambda point: objective(point)[0], lambda point: objective(point)[1], objective.start()) < 1e-6


def test_pairs_are_counted_once() -> None:
    from machine_model import Machine

    rng = np.random.default_rng(0)
    rows, weights, factors = rng.normal(size=(5, 4)), rng.normal(size=4), rng.normal(size=(4, 3))
    machine = Machine(False, 4, np.arange(4), 0.5, weights, factors)
    pairs = [sum(row[a] * row[b] * factors[a] @ factors[b] for a in range(4) for b in range(a + 1, 4)) for row in rows]
    np.testing.assert_allclose(machine.margins(rows), 0.5 + rows @ weights + pairs)


def test_classifier_without_factors_is_logistic_regression(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = standardised(features)
    settings = BINARY | NO_FACTORS | {"linear_wd": 1 / len(labels), "bias_wd": 0, "epochs": 2000}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0, tree.failure
    reference = LogisticRegression(tol=1e-10, max_iter=5000).fit(features, labels)
    np.testing.assert_allclose(machine_of(tree).weights, reference.coef_[0], rtol=1e-3, atol=1e-4)


def test_regressor_without_factors_is_ridge(make_tree: Any) -> None:
    features, labels = load_diabetes(return_X_y=True)
    features = standardised(features)
    settings = BINARY | NO_FACTORS | {"feature_dim": 10, "predictor_type": "regressor", "epochs": 2000}
    settings |= {"linear_wd": 0.02, "bias_wd": 0}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels), "test": as_csv(features, labels)})
    code, printed = tree.train()
    assert code == 0
    reference = Ridge(alpha=0.01 * len(labels), tol=1e-10).fit(features, labels)
    np.testing.assert_allclose(machine_of(tree).weights, reference.coef_, rtol=1e-4)
    errors = reference.predict(features) - labels
    assert metrics_in(IMAGE, printed)["test:rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)


def test_pairs_that_no_linear_model_sees_are_learned_from_sparse_rows(make_tree: Any) -> None:
    features, labels, _ = with_pairs()
    settings = {"feature_dim": 1_000_000, "num_factors": 3, "predictor_type": "regressor", "linear_wd": 0}
    rows = {"train": as_libsvm(features[:500], labels[:500]), "test": as_libsvm(features[500:], labels[500:])}
    tree = make_tree(IMAGE, settings, rows, content_type="text/libsvm")
    code, printed = tree.train()
    assert code == 0, tree.failure
    linear = Ridge().fit(features[:500], labels[:500]).predict(features[500:])
    assert metrics_in(IMAGE, printed)["test:mse"] < 0.01 * np.mean((linear - labels[500:]) ** 2)
    assert machine_of(tree).factors.shape == (20, 3), "features that never occur take no room"


def test_two_hosts_learn_the_model_of_one(make_tree: Any, run_hosts: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    rows = as_csv(standardised(features), labels)
    settings, hosts = BINARY | {"factors_init_sigma": 0.1, "epochs": 20}, ("algo-1", "algo-2")
    pair = [
        make_tree(IMAGE, settings, {"train": part, "test": part}, host=host, hosts=hosts)
        for host, part in zip(hosts, halves(rows), strict=True)
    ]
    alone = make_tree(IMAGE, settings, {"train": rows, "test": rows}, host="alone", hosts=("alone",))
    results = run_hosts(pair)
    code, printed = alone.train()
    assert [code, *(code for code, _ in results)] == [0, 0, 0]
    ours, theirs = machine_of(pair[0]), machine_of(alone)
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.factors, theirs.factors, rtol=1e-6, atol=1e-9)
    assert metrics_in(IMAGE, results[0][1]) == pytest.approx(metrics_in(IMAGE, printed), rel=1e-6)
    assert not list(pair[1].model.iterdir()), "only the master writes"
    assert "#quality_metric" not in results[1][1], "only the master reports"


def test_sigterm_ends_training_early_and_keeps_the_model(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = BINARY | {"num_factors": 200, "epochs": 1000000, "factors_wd": 0, "linear_wd": 0, "bias_wd": 0}
    tree = make_tree(IMAGE, settings, {"train": as_csv(np.tile(features, (8, 1)), np.tile(labels, 8))})
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if "epoch=1," in line)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert "stopping early" in printed
    assert machine_of(tree).factors.shape == (30, 200)


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "1,2\n", "num_factors is required"),
        (BINARY | {"num_factors": 0}, "1,2\n", "num_factors=0: must be at least 1"),
        (BINARY | {"bias_init_method": "zero"}, "1,2\n", "must be one of normal, uniform, constant"),
        (
            BINARY | {"bias_init_method": "uniform", "factors_init_method": "constant"},
            "1,2\n",
            "bias_init_method=uniform needs bias_init_scale; factors_init_method=constant needs factors_init_value",
        ),
        (BINARY, "1,2\n", "feature_dim=30, but the data has 1"),
        (
            BINARY | {"feature_dim": 1},
            "0,2\n-1,2\n",
            "part-0:2: label -1 is neither 0 nor 1, as binary_classifier needs",
        ),
        (BINARY, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: "), tree.failure
    assert message in tree.failure


def test_answers_by_accept_also_to_sparse_rows(make_tree: Any, serve: Any) -> None:
    features, labels, table = with_pairs()
    settings = {"feature_dim": 25, "num_factors": 3, "predictor_type": "binary_classifier", "factors_init_sigma": 0.1}
    tree = make_tree(IMAGE, settings, {"train": as_libsvm(features, (labels > 0) * 1)}, content_type="text/libsvm")
    assert tree.train()[0] == 0, tree.failure
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        sparse = {"data": {"features": {"keys": [3, 14], "shape": [25], "values": [1.0, 1.0]}}}
        dense = {"features": [1.0 if place in (3, 14) else 0.0 for place in range(25)]}
        reply = server.invoke(json.dumps({"instances": [sparse, dense]}), "application/json")
        first, second = reply.json["predictions"]
        assert first == second
        assert first["predicted_label"] == (table[3, 4] > 0)
        assert (first["score"] > 0.5) == (table[3, 4] > 0)
        reply = server.invoke("1,2", "text/csv")
        assert (reply.status, reply.text) == (400, "expected 25 features, got 2\n")
        assert server.stop() == 0
