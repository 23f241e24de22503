"""xgboost as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import importlib
import io
import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import xgboost
from pyarrow import parquet
from sklearn.datasets import load_breast_cancer

from tests.images.record import framed, labels_in, record_of, rows_as_records

IMAGE = "xgboost"
ROOT = Path(__file__).parents[2]
BINARY = {"num_round": 8, "objective": "binary:logistic", "max_depth": 3}


def as_csv(features: Any, labels: Any) -> str:
    return "\n".join(",".join(map(repr, row)) for row in np.column_stack([labels, features]).tolist())


def as_libsvm(features: Any, labels: Any) -> str:
    return "\n".join(
        f"{label} " + " ".join(f"{index}:{value!r}" for index, value in enumerate(row) if value)
        for label, row in zip(labels.tolist(), features.tolist(), strict=True)
    )


def booster_of(tree: Any) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray((tree.model / "xgboost-model").read_bytes()))
    return booster


def metrics_in(printed: str) -> dict[str, list[float]]:
    declared = json.loads((ROOT / "images" / IMAGE / "image.json").read_text())["metrics"]
    found = {metric["name"]: re.findall(metric["regex"], printed) for metric in declared}
    return {name: [float(value) for value in values] for name, values in found.items() if values}


def test_model_and_metrics_are_those_of_xgboost(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    settings = BINARY | {"eval_metric": "auc,logloss", "lambda": 2, "seed": 3, "subsample": 0.8}
    train, validation = as_csv(features[:400], labels[:400]), as_csv(features[400:], labels[400:])
    tree = make_tree(IMAGE, settings, {"train": train, "validation": validation})
    code, printed = tree.train()
    assert code == 0

    results: dict[str, Any] = {}
    matrices = [xgboost.DMatrix(features[rows], labels[rows]) for rows in (slice(400), slice(400, None))]
    reference = xgboost.train(
        {
            "objective": "binary:logistic",
            "max_depth": 3,
            "eval_metric": ["auc", "logloss"],
            "lambda": 2,
            "seed": 3,
            "subsample": 0.8,
        },
        matrices[0],
        8,
        evals=[(matrices[0], "train"), (matrices[1], "validation")],
        evals_result=results,
        verbose_eval=False,
    )
    np.testing.assert_array_equal(booster_of(tree).inplace_predict(features), reference.inplace_predict(features))
    printed_metrics = metrics_in(printed)
    for channel, by_metric in results.items():
        for metric, values in by_metric.items():
            assert printed_metrics[f"{channel}:{metric}"] == pytest.approx(values, abs=1e-5)


def test_libsvm_is_the_default_and_absent_is_missing(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = np.where(np.arange(features.size).reshape(features.shape) % 5 == 0, 0.0, features)
    tree = make_tree(IMAGE, BINARY, {"train": as_libsvm(features, labels)}, content_type="")
    assert tree.train()[0] == 0
    missing = np.where(features == 0, np.nan, features)
    reference = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(missing, labels), 8)
    np.testing.assert_array_equal(booster_of(tree).inplace_predict(missing), reference.inplace_predict(missing))


def test_wide_sparse_rows_are_never_made_dense(make_tree: Any) -> None:
    """Dense these would take 24 GB, and be refused for it."""
    rows = "".join(f"{row % 2} {row}:1 {100_000 + row % 2}:{row % 2 + 1}\n" for row in range(30_000))
    tree = make_tree(IMAGE, BINARY | {"num_round": 1}, {"train": rows}, content_type="text/libsvm")
    code, printed = tree.train()
    assert code == 0, printed
    assert booster_of(tree).num_features() == 100_002


@pytest.mark.parametrize("file_format", ["records", "sparse records", "Parquet", "JSON lines"])
def test_other_formats_give_the_model_of_csv(make_tree: Any, file_format: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features, labels = features[:150, :6].astype(np.float32).astype(float), labels[:150]
    sink = io.BytesIO()
    columns = {"label": labels} | {str(number): column for number, column in enumerate(features.T)}
    parquet.write_table(pyarrow.table(columns), sink)
    content_type, content = {
        "records": ("application/x-recordio-protobuf", rows_as_records(features, labels)),
        "sparse records": (
            "application/x-recordio-protobuf",
            framed(
                *(
                    record_of(row, [label], keys=range(6), shape=[6])
                    for row, label in zip(features, labels, strict=True)
                )
            ),
        ),
        "Parquet": ("application/x-parquet", sink.getvalue()),
        "JSON lines": (
            "application/jsonlines",
            "".join(
                json.dumps({"label": int(label), "features": row.tolist()}) + "\n"
                for row, label in zip(features, labels, strict=True)
            ),
        ),
    }[file_format]
    tree = make_tree(IMAGE, BINARY, {"train": content}, content_type=content_type)
    code, printed = tree.train()
    assert code == 0, printed
    reference = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(features, labels), 8)
    np.testing.assert_array_equal(booster_of(tree).inplace_predict(features), reference.inplace_predict(features))


def test_two_hosts_make_one_model_of_all_rows(make_tree: Any, run_hosts: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    rows = as_csv(features, labels).splitlines()
    hosts = ("algo-1", "algo-2")
    halves = [
        make_tree(IMAGE, BINARY, {"train": "\n".join(rows[part::2])}, host=host, hosts=hosts)
        for part, host in enumerate(hosts)
    ]
    assert [code for code, _ in run_hosts(halves)] == [0, 0]
    predicted = booster_of(halves[0]).inplace_predict(features)
    reference = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(features, labels), 8)
    np.testing.assert_allclose(predicted, reference.inplace_predict(features), atol=0.05)
    assert not list(halves[1].model.iterdir()), "only the master writes"


def test_early_stopping_keeps_the_best_round(make_tree: Any) -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)  # nothing to learn: it gets worse soon
    settings = BINARY | {"num_round": 200, "early_stopping_rounds": 3, "eval_metric": "logloss"}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels), "validation": as_csv(-features, labels)})
    code, printed = tree.train()
    assert code == 0
    losses = metrics_in(printed)["validation:logloss"]
    assert len(losses) < 200
    assert booster_of(tree).num_boosted_rounds() == int(np.argmin(losses)) + 1


def test_csv_weights_take_the_second_column(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    weights = 1.0 + np.arange(len(labels)) % 3
    tree = make_tree(
        IMAGE, BINARY | {"csv_weights": 1}, {"train": as_csv(np.column_stack([weights, features]), labels)}
    )
    assert tree.train()[0] == 0
    matrix = xgboost.DMatrix(features, labels, weight=weights)
    reference = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, matrix, 8)
    np.testing.assert_array_equal(booster_of(tree).inplace_predict(features), reference.inplace_predict(features))


def test_sigterm_ends_training_early_and_keeps_the_model(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    tree = make_tree(IMAGE, BINARY | {"num_round": 1000000}, {"train": as_csv(features, labels)})
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("[3]"))
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert booster_of(tree).num_boosted_rounds() >= 4


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "1,2\n", "num_round is required"),
        (
            {"num_round": 0, "eta": 2},
            "1,2\n",
            "eta=2: must be at least 0 and at most 1; num_round=0: must be at least 1",
        ),
        ({"num_round": 1, "max_dept": 3}, "1,2\n", "max_dept is unknown; did you mean max_depth?"),
        ({"num_round": 1, "objective": "rank:pairwise"}, "1,2\n", "objective=rank:pairwise: must be one of"),
        ({"num_round": 1, "objective": "multi:softmax"}, "1,2\n", "num_class is required for multi:softmax"),
        ({"num_round": 1, "early_stopping_rounds": 2}, "1,2\n", "needs a validation channel"),
        (
            {"num_round": 1, "objective": "binary:logistic"},
            "3,2\n",
            "label 3 does not fit binary:logistic, it must be from 0 to 1",
        ),
        ({"num_round": 1, "eval_metric": "acc"}, "1,2\n1,3\n", "acc"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: "), tree.failure
    assert message in tree.failure


@pytest.fixture(scope="module")
def model(make_module_tree: Any) -> Any:
    features, labels = load_breast_cancer(return_X_y=True)
    tree = make_module_tree(IMAGE, BINARY, {"train": as_csv(features[:, :3], labels)})
    assert tree.train()[0] == 0
    return tree


@pytest.fixture(scope="module")
def served(model: Any, serve_for_module: Any) -> Iterator[Any]:
    with serve_for_module(model) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_answers_as_the_hosted_container_does(served: Any, model: Any) -> None:
    rows = np.array([[17.99, 10.38, 122.8], [8.0, np.nan, 50.0]])
    expected = booster_of(model).inplace_predict(rows).tolist()
    lines = "".join(f"{score}\n" for score in expected)
    libsvm, csv = "0:17.99 1:10.38 2:122.8\n1 0:8 2:50", "17.99,10.38,122.8\n8,,50"
    table = [
        (libsvm, "", "", "text/csv", lines),
        (libsvm, "text/x-libsvm", "text/csv", "text/csv", lines),
        (csv, "text/csv", "*/*", "text/csv", lines),
        (csv.replace(",", ";"), "text/csv", "*/*", "text/csv", lines),
        (csv, "text/csv", "application/json", "application/json", None),
    ]
    for body, content_type, accept, answered, text in table:
        reply = served.invoke(body, content_type, accept)
        assert (reply.status, reply.headers["content-type"]) == (200, answered), reply.text
        assert text is None or reply.text == text
    scores = [prediction["score"] for prediction in reply.json["predictions"]]
    assert scores == pytest.approx(expected, rel=1e-6)


def test_wrong_width_is_said(served: Any) -> None:
    for body, content_type in (("1,2,3,4", "text/csv"), ("0:1 7:2", "text/libsvm")):
        reply = served.invoke(body, content_type)
        assert reply.status == 400
        assert "expected 3 features" in reply.text


def test_a_row_may_be_narrower_and_misses_what_it_leaves_out(served: Any) -> None:
    answers = [served.invoke(body, kind).text for body, kind in (("17.99,10.38", "text/csv"), ("0:17.99 1:10.38", ""))]
    assert answers == [served.invoke("17.99,10.38,", "text/csv").text] * 2


def test_libsvm_indices_from_one_are_moved_down_as_hosted(served: Any) -> None:
    """No index is 0; a label in front is none of them."""
    from_zero = served.invoke("0:17.99 1:10.38 2:122.8", "text/libsvm").text
    for body in ("1:17.99 2:10.38 3:122.8", "1 1:17.99 2:10.38 3:122.8"):
        assert served.invoke(body, "text/libsvm").text == from_zero
    assert served.invoke("1:17.99 2:10.38", "text/libsvm").text == served.invoke("17.99,10.38", "text/csv").text


def test_a_model_that_learned_from_libsvm_reads_indices_as_it_learned(make_tree: Any, serve: Any) -> None:
    """Whether it counted from 0 or from 1, and whatever a request leaves out."""
    features, labels = load_breast_cancer(return_X_y=True)
    from_one = "\n".join(
        f"{label} " + " ".join(f"{index}:{value!r}" for index, value in enumerate(row, 1))
        for label, row in zip(labels.tolist(), features[:, :3].tolist(), strict=True)
    )
    for rows, row, reference in (
        (as_libsvm(features[:, :3], labels), "1:10.38 2:122.8", [np.nan, 10.38, 122.8]),
        (from_one, "1:17.99 2:10.38", [np.nan, 17.99, 10.38, np.nan]),
    ):
        tree = make_tree(IMAGE, BINARY, {"train": rows}, content_type="text/libsvm")
        assert tree.train()[0] == 0
        expected = booster_of(tree).inplace_predict(np.array([reference]))[0]
        with serve(tree) as server:
            server.wait_until_it_answers()
            assert float(server.invoke(row, "text/libsvm").text) == pytest.approx(expected)


def test_a_softprob_answer_has_a_column_a_class(make_tree: Any, serve: Any) -> None:
    rows = "".join(f"{row % 3},{row % 3},{row}\n" for row in range(30))
    tree = make_tree(IMAGE, {"num_round": 2, "objective": "multi:softprob", "num_class": 3}, {"train": rows})
    assert tree.train()[0] == 0
    with serve(tree) as server:
        server.wait_until_it_answers()
        answer = np.loadtxt(io.StringIO(server.invoke("0,3\n1,4", "text/csv").text), delimiter=",")
    np.testing.assert_allclose(answer, booster_of(tree).inplace_predict(np.array([[0, 3], [1, 4.0]])), rtol=1e-6)


def test_batch_transform_gets_a_line_a_row(model: Any, serve: Any) -> None:
    with serve(model, SAGEMAKER_BATCH="true") as server:
        server.wait_until_it_answers()
        reply = server.invoke("17.99,10.38,122.8\n8,8,50", "text/csv")
        assert re.fullmatch(r"\S+\n\S+\n", reply.text)
        assert server.stop() == 0


def test_records_in_and_out(served: Any, model: Any) -> None:
    rows = np.array([[17.99, 10.38, 122.8], [8.0, np.nan, 50.0]])
    expected = booster_of(model).inplace_predict(rows).tolist()
    dense = framed(*(record_of(row, kind="float64") for row in rows))
    sparse = framed(
        record_of(rows[0], keys=[0, 1, 2], shape=[3], kind="float64"),
        record_of([8.0, 50.0], keys=[0, 2], shape=[3], kind="float64"),
    )
    recordio = "application/x-recordio-protobuf"
    for body in (dense, sparse):
        reply = served.invoke(body, recordio, recordio)
        assert [answer["score"] for answer in labels_in(reply.body)] == [[score] for score in expected]


SOFTPROB = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])


@pytest.mark.parametrize(
    ("objective", "raw", "expected"),
    [
        ("reg:squarederror", [0.5, -7], {"predicted_score": [0.5, -7]}),
        (
            "binary:logistic",
            [0.25, 0.75],
            {
                "predicted_label": [0, 1],
                "labels": [[0, 1], [0, 1]],
                "probability": [0.25, 0.75],
                "probabilities": [[0.75, 0.25], [0.25, 0.75]],
                "raw_score": [0.25, 0.75],
                "raw_scores": [[0.75, 0.25], [0.25, 0.75]],
            },
        ),
        ("binary:logitraw", [-0.5, 0.25], {"predicted_label": [0, 1], "raw_score": [-0.5, 0.25]}),
        ("multi:softmax", [2, 0], {"predicted_label": [2, 0], "labels": [[0, 1, 2]] * 2, "raw_score": [2, 0]}),
        (
            "multi:softprob",
            SOFTPROB,
            {
                "predicted_label": [1, 0],
                "labels": [[0, 1, 2]] * 2,
                "probability": [0.7, 0.5],
                "probabilities": SOFTPROB.tolist(),
                "raw_score": [0.7, 0.5],
                "raw_scores": SOFTPROB.tolist(),
            },
        ),
    ],
)
def test_columns_to_choose_from_by_objective(objective: Any, raw: Any, expected: Any) -> None:
    sys.path.insert(0, str(ROOT / "images" / IMAGE))
    try:
        outputs = importlib.import_module("xgboost_outputs")
    finally:
        sys.path.remove(str(ROOT / "images" / IMAGE))
    columns = outputs.choose(list(expected), objective, 2 if objective.startswith("binary") else 3)
    assert {name: column(np.array(raw)).tolist() for name, column in columns.items()} == expected
    with pytest.raises(ValueError, match=f"SAGEMAKER_INFERENCE_OUTPUT=score: {objective} does not give score, but pre"):
        outputs.choose(["score"], objective, 2)


def test_chosen_columns_are_answered(model: Any, serve: Any) -> None:
    chance = float(booster_of(model).inplace_predict(np.array([[17.99, 10.38, 122.8]]))[0])
    with serve(model, SAGEMAKER_INFERENCE_OUTPUT="predicted_label, probabilities") as server:
        server.wait_until_it_answers()
        reply = server.invoke("17.99,10.38,122.8", "text/csv", "application/json")
        assert reply.json["predictions"][0]["predicted_label"] == 0
        assert reply.json["predictions"][0]["probabilities"] == pytest.approx([1 - chance, chance])
        assert re.fullmatch(r'0,"\[0\.\d+, 0\.\d+\]"\n', server.invoke("17.99,10.38,122.8", "text/csv").text)


def test_column_that_the_objective_does_not_give_is_said(model: Any) -> None:
    code, last = model.end_of_serve(SAGEMAKER_INFERENCE_OUTPUT="predicted_score")
    assert code == 1
    assert "binary:logistic does not give predicted_score, but predicted_label, labels" in last


def test_a_resumed_job_does_only_the_remaining_rounds(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    train = as_csv(features, labels)
    whole, cut = (make_tree(IMAGE, BINARY | {"num_round": rounds}, {"train": train}) for rounds in (8, 3))
    assert whole.train()[0] == 0
    folder = cut.base / "checkpoints"
    folder.mkdir()
    cut.write_config("checkpointconfig", {"LocalPath": str(folder)})
    assert cut.train()[0] == 0
    assert (folder / "xgboost-checkpoint.0").exists(), "the first round is kept"
    (folder / "xgboost-checkpoint.2").write_bytes((cut.model / "xgboost-model").read_bytes())
    cut.write_config("hyperparameters", {name: str(value) for name, value in (BINARY | {"num_round": 8}).items()})
    code, printed = cut.train()
    assert code == 0, printed
    assert re.findall(r"^\[(\d+)\]", printed, re.MULTILINE) == ["3", "4", "5", "6", "7"]
    matrix = xgboost.DMatrix(features)
    assert np.allclose(booster_of(cut).predict(matrix), booster_of(whole).predict(matrix), atol=1e-6)
    code, printed = cut.train()
    assert code == 0, printed
    assert booster_of(cut).num_boosted_rounds() == 8, "nothing is left to do, and the model is there"
