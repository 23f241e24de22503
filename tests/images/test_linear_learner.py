"""linear-learner as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import importlib
import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import Lasso, LogisticRegression, QuantileRegressor, Ridge
from sklearn.metrics import fbeta_score, precision_score, recall_score, roc_auc_score, top_k_accuracy_score
from sklearn.svm import SVC

from tests.images.record import framed, labels_in, record_of
from tests.ports import free_port

IMAGE = "linear-learner"
ROOT = Path(__file__).parents[2]


def as_csv(features: Any, labels: Any) -> str:
    return "\n".join(",".join(map(repr, row)) for row in np.column_stack([labels, features]).tolist())


def standardised(features: Any) -> Any:
    return (features - features.mean(axis=0)) / features.std(axis=0)


def weights_of(tree: Any) -> tuple[Any, Any]:
    with np.load(tree.model / "linear.npz", allow_pickle=False) as arrays:
        return arrays["weights"], arrays["biases"]


def load(module_name: str) -> Any:
    sys.path.insert(0, str(ROOT / "images" / IMAGE))
    try:
        return importlib.import_module(module_name)
    finally:
        sys.path.remove(str(ROOT / "images" / IMAGE))


def metrics_in(printed: str) -> dict[str, float]:
    """The last value of each metric, found with the regexes of image.json."""
    declared = json.loads((ROOT / "images" / IMAGE / "image.json").read_text())["metrics"]
    found = {metric["name"]: re.findall(metric["regex"], printed) for metric in declared}
    return {name: float(values[-1]) for name, values in found.items() if values}


def test_binary_classifier_equals_scikit_learn(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = {"predictor_type": "binary_classifier", "wd": 1 / len(labels), "epochs": 1000}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0
    reference = LogisticRegression(tol=1e-10, max_iter=5000).fit(standardised(features), labels)
    weights, _ = weights_of(tree)
    np.testing.assert_allclose(weights[:, 0] * features.std(axis=0), reference.coef_[0], rtol=1e-3, atol=1e-4)


def test_multiclass_classifier_equals_scikit_learn(make_tree: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    settings = {"predictor_type": "multiclass_classifier", "num_classes": 3, "wd": 1 / len(labels), "epochs": 1000}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels), "test": as_csv(features, labels)})
    code, printed = tree.train()
    assert code == 0
    reference = LogisticRegression(tol=1e-10, max_iter=5000).fit(standardised(features), labels)
    weights, biases = weights_of(tree)
    np.testing.assert_array_equal(
        (features @ weights + biases).argmax(axis=1), reference.predict(standardised(features))
    )
    assert metrics_in(printed)["test:multiclass_accuracy"] == pytest.approx(
        reference.score(standardised(features), labels)
    )


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"wd": 0.02}, Ridge(alpha=0.01 * 442, tol=1e-10)),
        ({"wd": 0, "l1": 0.02}, Lasso(alpha=0.01, tol=1e-10)),
    ],
    ids=["L2 is ridge", "L1 is lasso"],
)
def test_regressor_equals_scikit_learn(make_tree: Any, settings: Any, reference: Any) -> None:
    features, labels = load_diabetes(return_X_y=True)
    labels = standardised(labels)
    tree = make_tree(
        IMAGE, {"predictor_type": "regressor", "epochs": 2000} | settings, {"train": as_csv(features, labels)}
    )
    code, printed = tree.train()
    assert code == 0
    reference.fit(standardised(features), labels)
    weights, biases = weights_of(tree)
    np.testing.assert_allclose(
        features @ weights[:, 0] + biases[0], reference.predict(standardised(features)), atol=2e-4
    )
    assert metrics_in(printed)["train:mse"] < 0.6


TEXTBOOK: dict[str, Any] = {
    "logistic": lambda margin, label: np.log1p(np.exp(-margin if label else margin)),
    "hinge_loss": lambda margin, label: max(0.0, 0.7 - margin if label else 0.7 + margin),
    "squared_loss": lambda margin, label: (margin - label) ** 2,
    "absolute_loss": lambda margin, label: abs(margin - label),
    "eps_insensitive_squared_loss": lambda margin, label: max(0.0, abs(margin - label) - 0.3) ** 2,
    "eps_insensitive_absolute_loss": lambda margin, label: max(0.0, abs(margin - label) - 0.3),
    "quantile_loss": lambda margin, label: max(0.9 * (label - margin), 0.1 * (margin - label)),
    "huber_loss": lambda margin, label: (
        (margin - label) ** 2 / 2 if abs(margin - label) < 0.5 else abs(margin - label) / 2 - 0.125
    ),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_losses_are_those_of_the_textbook_with_their_slopes_and_curvatures(name: Any) -> None:
    linear_loss = load("linear_loss")
    shape = linear_loss.Shape(huber_delta=0.5, quantile=0.9, insensitivity=0.3, margin=0.7)
    loss = linear_loss.choose(name, shape)
    margins, labels, step = np.linspace(-3, 3, 1201)[:, np.newaxis], np.tile([0.0, 1.0, 0.0], 401)[:1201], 1e-7
    values, slopes, curvatures = loss(margins, labels)
    expected = [TEXTBOOK[name](margin, label) for margin, label in zip(margins[:, 0], labels, strict=True)]
    np.testing.assert_allclose(values, expected, atol=linear_loss.SMOOTHED)
    above, below = loss(margins + step, labels), loss(margins - step, labels)
    np.testing.assert_allclose(slopes[:, 0], (above.values - below.values) / (2 * step), atol=1e-5)
    bend = (above.slopes - below.slopes)[:, 0] / (2 * step)
    corners = np.abs(above.curvatures - below.curvatures) > 1e-3
    np.testing.assert_allclose(curvatures[~corners], bend[~corners], atol=1e-4)


def test_quantile_loss_has_its_share_of_labels_below(make_tree: Any) -> None:
    features, labels = load_diabetes(return_X_y=True)
    settings = {"predictor_type": "regressor", "loss": "quantile_loss", "quantile": 0.9, "wd": 0}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0
    weights, biases = weights_of(tree)
    reference = QuantileRegressor(quantile=0.9, alpha=0).fit(features, labels)

    def mean_loss(predicted: Any) -> float:
        return float(np.mean(np.maximum(0.9 * (labels - predicted), 0.1 * (predicted - labels))))

    predicted = features @ weights[:, 0] + biases[0]
    assert np.mean(labels < predicted) == pytest.approx(0.9, abs=0.02)
    assert mean_loss(predicted) == pytest.approx(mean_loss(reference.predict(features)), rel=1e-3)


def test_hinge_loss_draws_the_border_of_a_support_vector_machine(make_tree: Any, serve: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = {"predictor_type": "binary_classifier", "loss": "hinge_loss", "wd": 0.001}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels)})
    assert tree.train()[0] == 0
    reference = SVC(kernel="linear", C=1000 / len(labels)).fit(standardised(features), labels)
    margins = reference.decision_function(standardised(features))
    with serve(tree) as server:
        server.wait_until_it_answers()
        rows = "\n".join(line.partition(",")[2] for line in as_csv(features, labels).splitlines())
        predictions = server.invoke(rows, "text/csv").json["predictions"]
    np.testing.assert_allclose([row["score"] for row in predictions], margins, atol=0.2)
    assert np.mean([row["predicted_label"] for row in predictions] == reference.predict(standardised(features))) > 0.99


@pytest.mark.parametrize(
    "extra",
    [
        {"binary_classifier_model_selection_criteria": "precision_at_target_recall", "target_recall": 0.97},
        {"binary_classifier_model_selection_criteria": "recall_at_target_precision", "target_precision": 0.97},
        {"binary_classifier_model_selection_criteria": "f_beta", "f_beta": 2},
    ],
    ids=["precision", "recall", "f_beta"],
)
def test_threshold_is_best_by_the_criterion_on_validation(extra: Any) -> None:
    metrics = load("linear_metrics")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500).astype(float)
    margins = np.round(labels + rng.normal(size=500), 1)[:, np.newaxis]  # ties
    criterion = extra["binary_classifier_model_selection_criteria"]

    def merit(threshold: float) -> float:
        chosen = margins[:, 0] > threshold
        precision, recall = precision_score(labels, chosen, zero_division=0), recall_score(labels, chosen)
        if criterion == "f_beta":
            return float(fbeta_score(labels, chosen, beta=2))
        if criterion == "precision_at_target_recall":
            return float(1 + precision if recall >= 0.97 else recall)
        return float(1 + recall if precision >= 0.97 else precision)

    threshold = metrics.calibrated(criterion, 0.97, 2.0, labels, margins)
    assert merit(threshold) == pytest.approx(max(merit(value) for value in np.arange(-3.95, 5, 0.1)))


def test_calibrated_threshold_is_served_and_measured(make_tree: Any, serve: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = {
        "predictor_type": "binary_classifier",
        "binary_classifier_model_selection_criteria": "precision_at_target_recall",
        "target_recall": 0.5,
    }
    rows = as_csv(features[:, :3], labels)
    tree = make_tree(IMAGE, settings, {"train": rows})
    reported = metrics_in(tree.train()[1])
    with serve(tree) as server:
        server.wait_until_it_answers()
        body = "\n".join(line.partition(",")[2] for line in rows.splitlines())
        predicted = [row["predicted_label"] for row in server.invoke(body, "text/csv").json["predictions"]]
    assert recall_score(labels, predicted) == pytest.approx(reported["train:recall"])
    assert precision_score(labels, predicted) == pytest.approx(reported["train:precision"])
    assert 0.5 <= reported["train:recall"] < 0.9


def test_multiclass_metrics_are_those_of_scikit_learn() -> None:
    metrics = load("linear_metrics")
    rng = np.random.default_rng(0)
    labels, margins = rng.integers(0, 5, 200).astype(float), rng.normal(size=(200, 5))
    found = metrics.metrics(metrics.Measures("multiclass_classifier", beta=2.0, top_k=2), labels, margins)
    assert found["multiclass_top_k_accuracy"] == pytest.approx(top_k_accuracy_score(labels, margins, k=2))
    assert found["macro_f_beta"] == pytest.approx(fbeta_score(labels, margins.argmax(axis=1), beta=2, average="macro"))


@pytest.mark.parametrize(
    "settings",
    [
        {"predictor_type": "regressor", "loss": "quantile_loss", "quantile": 0.3, "wd": 0.001},
        {"predictor_type": "binary_classifier", "loss": "hinge_loss", "wd": 0.001},
    ],
    ids=["quantile", "hinge"],
)
def test_two_hosts_find_the_same_minimum_of_a_bent_loss(make_tree: Any, run_hosts: Any, settings: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    rows = as_csv(features[:, :10], labels).splitlines()
    hosts = ("algo-1", "algo-2")
    parts = [
        make_tree(IMAGE, settings, {"train": "\n".join(rows[part::2])}, host=host, hosts=hosts)
        for part, host in enumerate(hosts)
    ]
    whole = make_tree(IMAGE, settings, {"train": "\n".join(rows)}, host="alone", hosts=("alone",))
    assert [code for code, _ in run_hosts(parts)] == [0, 0]
    assert whole.train()[0] == 0
    for ours, theirs in zip(weights_of(parts[0]), weights_of(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_two_hosts_learn_the_model_of_one(make_tree: Any, run_hosts: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = {"predictor_type": "binary_classifier", "wd": 0.001, "positive_example_weight_mult": "balanced"}
    rows = as_csv(features, labels).splitlines()
    hosts = ("algo-1", "algo-2")
    halves = [
        make_tree(
            IMAGE,
            settings,
            {"train": "\n".join(rows[part:400:2]), "validation": "\n".join(rows[400 + part :: 2])},
            host=host,
            hosts=hosts,
        )
        for part, host in enumerate(hosts)
    ]
    whole = make_tree(
        IMAGE,
        settings,
        {"train": "\n".join(rows[:400]), "validation": "\n".join(rows[400:])},
        host="alone",
        hosts=("alone",),
    )
    results = run_hosts(halves)
    assert [code for code, _ in results] == [0, 0]
    assert whole.train()[0] == 0
    for ours, theirs in zip(weights_of(halves[0]), weights_of(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert not list(halves[1].model.iterdir()), "only the master writes"
    assert "#quality_metric" not in results[1][1], "only the master reports"


def test_host_without_rows_takes_part(make_tree: Any, run_hosts: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    hosts = ("algo-1", "algo-2")
    full = make_tree(IMAGE, {"predictor_type": "binary_classifier"}, {"train": as_csv(features, labels)}, hosts=hosts)
    empty = make_tree(IMAGE, {"predictor_type": "binary_classifier"}, {"train": ""}, host="algo-2", hosts=hosts)
    assert [code for code, _ in run_hosts([full, empty])] == [0, 0]


def test_bad_file_on_one_host_fails_all_with_its_reason(make_tree: Any, run_hosts: Any) -> None:
    hosts = ("algo-1", "algo-2")
    good = make_tree(IMAGE, {"predictor_type": "regressor"}, {"train": "1,2\n2,3\n"}, hosts=hosts)
    bad = make_tree(IMAGE, {"predictor_type": "regressor"}, {"train": "1,2\n2,oops\n"}, host="algo-2", hosts=hosts)
    assert [code for code, _ in run_hosts([good, bad])] == [1, 1]
    for tree in (good, bad):
        assert re.match(r"ClientError: algo-2: channel train: part-0:2, column 2: 'oops' is not a number", tree.failure)


def test_host_that_is_killed_fails_the_others(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = {"predictor_type": "binary_classifier", "epochs": 1000000, "wd": 0, "l1": 1e-5}
    hosts = ("algo-1", "algo-2")
    trees = [make_tree(IMAGE, settings, {"train": as_csv(features, labels)}, host=host, hosts=hosts) for host in hosts]
    env = {"SM_MASTER_ADDR": "127.0.0.1", "SM_MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    with trees[0].start("train", **env) as master, trees[1].start("train", **env) as other:
        assert master.stdout is not None
        next(line for line in master.stdout if "epoch=5," in line)
        other.kill()
        master.communicate(timeout=20)
    assert master.returncode == 1
    assert trees[0].failure.startswith("AlgorithmError: ConnectionError: another host of this job ended")


def test_reported_auc_is_that_of_scikit_learn(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = np.round(features[:, :1])  # ties
    settings = {"predictor_type": "binary_classifier"}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels), "validation": as_csv(features, labels)})
    reported = metrics_in(tree.train()[1])
    weights, _ = weights_of(tree)
    expected = roc_auc_score(labels, features @ weights[:, 0])
    assert reported["validation:roc_auc_score"] == pytest.approx(expected, abs=1e-8)
    assert {"train:objective_loss", "validation:objective_loss", "train:recall"} <= reported.keys()


def test_sigterm_ends_training_early_and_keeps_the_model(make_tree: Any) -> None:
    features, labels = load_iris(return_X_y=True)
    features = np.repeat(features, 400, axis=0)
    settings = {"predictor_type": "multiclass_classifier", "num_classes": 3, "epochs": 100000, "wd": 0}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, np.repeat(labels, 400))})
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if "epoch=1," in line)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopping early" in printed
    assert weights_of(tree)[0].shape == (4, 3)


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "1,2\n", "predictor_type is required"),
        ({"predictor_type": "regressor", "leraning_rate": 1}, "1,2\n", "leraning_rate is unknown"),
        (
            {"predictor_type": "regressor", "wd": "-1", "epochs": "x"},
            "1,2\n",
            "epochs=x: must be a whole number; wd=-1: must be at least 0 or auto",
        ),
        ({"predictor_type": "regressor", "feature_dim": 3}, "1,2\n", "feature_dim=3, but the data has 1"),
        ({"predictor_type": "multiclass_classifier"}, "1,2\n", "num_classes is required"),
        ({"predictor_type": "regressor", "loss": "logistic"}, "1,2\n", "loss=logistic does not fit regressor"),
        (
            {"predictor_type": "binary_classifier"},
            "0,2\n2,2\n",
            "channel train: part-0:2: label 2 is not a whole number from 0 to 1",
        ),
        ({"predictor_type": "regressor"}, "1,2\n1,2,3\n", "part-0:2: 3 columns, but the rows before have 2"),
        ({"predictor_type": "regressor"}, "y,a\n1,2\n", "part-0:1, column 1: 'y' is not a number; a header line?"),
        ({"predictor_type": "regressor"}, "1,2\n1,\n", "part-0:2, column 2 is empty"),
        ({"predictor_type": "regressor"}, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: ")
    assert message in tree.failure


@pytest.fixture(scope="module")
def served(make_module_tree: Any, serve_for_module: Any) -> Iterator[Any]:
    features, labels = load_breast_cancer(return_X_y=True)
    tree = make_module_tree(IMAGE, {"predictor_type": "binary_classifier"}, {"train": as_csv(features[:, :3], labels)})
    assert tree.train()[0] == 0
    with serve_for_module(tree) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_every_spelling_of_a_row_gets_the_same_answer(served: Any) -> None:
    row = [17.99, 10.38, 122.8]
    spellings = [
        ("17.99,10.38,122.8", "text/csv"),
        (" 17.99, +10.38,122.80\r\n", "text/csv; charset=utf-8"),
        (json.dumps({"instances": [{"features": row}]}), "application/json"),
        (json.dumps({"instances": [{"data": {"features": {"values": row}}}]}), "application/json"),
        (
            json.dumps({"instances": [{"data": {"features": {"keys": [0, 1, 2], "shape": [3], "values": row}}}]}),
            "application/json",
        ),
        (json.dumps({"features": row}), "application/jsonlines"),
        (json.dumps({"data": {"features": {"values": row}}}) + "\n", "application/x-jsonlines"),
        (framed(record_of(row, [1], kind="float64")), "application/x-recordio-protobuf"),
        (framed(record_of(row, kind="float64", keys=[0, 1, 2], shape=[3])), "application/x-recordio-protobuf"),
    ]
    replies = [served.invoke(body, content_type) for body, content_type in spellings]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    prediction = replies[0].json["predictions"][0]
    assert prediction["predicted_label"] == 0
    assert 0 < prediction["score"] < 0.5


@pytest.mark.parametrize(
    ("accept", "content_type", "pattern"),
    [
        ("", "application/json", r'\{"predictions":\[\{"score":\S+,"predicted_label":0\},\{.*\}\]\}'),
        ("*/*", "application/json", r"\{.*\}"),
        ("text/csv", "text/csv", r"\S+,0\n\S+,1\n"),
        ("application/jsonlines", "application/jsonlines", r'(\{"score":\S+,"predicted_label":\d\}\n){2}'),
        ("text/html, text/csv;q=0.5, application/json;q=0.1", "text/csv", r"\S+,0\n\S+,1\n"),
    ],
)
def test_answers_by_accept(served: Any, accept: Any, content_type: Any, pattern: Any) -> None:
    reply = served.invoke("17.99,10.38,122.8\n8,8,50", "text/csv", accept)
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert re.fullmatch(pattern, reply.text)


def test_answer_in_records_holds_the_columns_in_the_label_map(served: Any) -> None:
    body = "17.99,10.38,122.8\n8,8,50"
    predictions = served.invoke(body, "text/csv", "application/json").json["predictions"]
    reply = served.invoke(body, "text/csv", "application/x-recordio-protobuf")
    assert reply.headers["content-type"] == "application/x-recordio-protobuf"
    answers = labels_in(reply.body)
    assert [answer["predicted_label"] for answer in answers] == [[0], [1]]
    assert [answer["score"][0] for answer in answers] == pytest.approx([row["score"] for row in predictions], rel=1e-6)
