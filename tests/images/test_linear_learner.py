"""linear-learner as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from tests.images.record import framed, labels_in, record_of

IMAGE = "linear-learner"
ROOT = Path(__file__).parents[2]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_csv(features: Any, labels: Any) -> str:
    return "\n".join(",".join(map(repr, row)) for row in np.column_stack([labels, features]).tolist())


def standardised(features: Any) -> Any:
    return (features - features.mean(axis=0)) / features.std(axis=0)


def weights_of(tree: Any) -> tuple[Any, Any]:
    with np.load(tree.model / "linear.npz", allow_pickle=False) as arrays:
        return arrays["weights"], arrays["biases"]


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
        assert re.match(r"ClientError: algo-2: \S+/train/part-0:2: column 2: 'oops' is not a number", tree.failure)


def test_host_that_is_killed_fails_the_others(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = {"predictor_type": "binary_classifier", "epochs": 1000000, "wd": 0, "l1": 1e-5}
    hosts = ("algo-1", "algo-2")
    trees = [make_tree(IMAGE, settings, {"train": as_csv(features, labels)}, host=host, hosts=hosts) for host in hosts]
    env = {"SM_MASTER_ADDR": "127.0.0.1", "SM_MASTER_PORT": str(unused_port()), "OMP_NUM_THREADS": "1"}
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
            "channel train: label 2 is not a whole number from 0 to 1",
        ),
        ({"predictor_type": "regressor"}, "1,2\n1,2,3\n", "part-0:2: 3 columns, but the rows before have 2"),
        ({"predictor_type": "regressor"}, "y,a\n1,2\n", "part-0:1: column 1: 'y' is not a number; a header line?"),
        ({"predictor_type": "regressor"}, "1,2\n1,\n", "part-0:2: column 2 is empty"),
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
