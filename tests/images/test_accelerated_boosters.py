"""Servers of XGBoost and LightGBM with `accelerate: onnx` answer as those without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_iris, make_regression
from toolkit.onnx_boosters import subject_of_lightgbm, subject_of_xgboost
from toolkit.onnx_check import compared
from toolkit.onnx_convert import converted
from toolkit.onnx_form import Form, NoForm, session_of

TUMORS, IS_BENIGN = load_breast_cancer(return_X_y=True)
FLOWERS, SPECIES = load_iris(return_X_y=True)
LENGTHS, SIZES = make_regression(400, 8, noise=5, random_state=0)
ASKED = {"SAGESPEC_ACCELERATE": "onnx"}
OWN_OUTPUT = "def output_fn(prediction, accept):\n    return str(prediction.tolist()), 'application/json'\n"
DATA: dict[str, tuple[Any, Any]] = {
    "binary": (TUMORS, IS_BENIGN),
    "classes": (FLOWERS, SPECIES),
    "numbers": (LENGTHS, SIZES),
    "counts": (LENGTHS, np.abs(SIZES)),
}


def of_xgboost(kind: str) -> Any:
    objectives = {"binary": "binary:logistic", "classes": "multi:softprob", "numbers": "reg:squarederror"}
    settings = {"objective": objectives.get(kind, "count:poisson")} | ({"num_class": 3} if kind == "classes" else {})
    return xgboost.train(settings, xgboost.DMatrix(*DATA[kind]), 20)


def of_lightgbm(kind: str) -> Any:
    objective = {"binary": "binary", "classes": "multiclass", "numbers": "regression"}.get(kind, "poisson")
    settings = {"objective": objective, "verbose": -1} | ({"num_class": 3} if kind == "classes" else {})
    return lightgbm.train(settings, lightgbm.Dataset(*DATA[kind]), 20)


def with_gaps(rows: Any) -> Any:
    holes = np.random.default_rng(1).random(rows.shape) < 0.2
    return np.where(holes, np.nan, rows)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_form_of_a_booster_answers_as_the_booster_does(library: str, kind: str) -> None:
    booster = of_xgboost(kind) if library == "xgboost" else of_lightgbm(kind)
    subject = subject_of_xgboost(booster) if library == "xgboost" else subject_of_lightgbm(booster)
    made = converted(subject)
    form = Form(made.facts, session_of(made.graph))
    for rows in (DATA[kind][0], with_gaps(DATA[kind][0]), DATA[kind][0][:1]):
        given = form.predict(form.rows_of(rows) or {})
        assert compared(subject.predict(rows), given, rows).is_close
    assert made.facts.takes_missing


@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
def test_scripts_of_xgboost(make_tree: Any, serve: Any, name: str) -> None:
    booster = of_xgboost("binary")
    answers: list[Any] = []
    bodies = [
        (json.dumps(TUMORS[:40].tolist()), "application/json"),
        (json.dumps([[None, *TUMORS[0][1:].tolist()]]), "application/json"),
        ("1,2,3", "text/csv"),
        ("0:1.5 7:0.25", "text/libsvm"),
        (",".join(["x"] * 30), "text/csv"),
    ]
    for settings in (ASKED, {}):
        tree = make_tree("xgboost", host=f"server-{len(answers)}")
        (tree.model / "code").mkdir(parents=True)
        (tree.model / "code" / "inference.py").write_text(OWN_OUTPUT)
        booster.save_model(tree.model / name)
        with serve(tree, **settings) as server:
            assert server.wait_until_it_answers().status == 200
            answers.append([server.invoke(*body) for body in bodies])
        assert (tree.base / "accelerate.json").is_file() == (settings == ASKED)
    accelerated, plain = answers
    assert [reply.status for reply in accelerated] == [reply.status for reply in plain] == [200, 200, 400, 200, 415]
    assert np.allclose(accelerated[0].json, plain[0].json, atol=1e-5)
    assert [reply.body for reply in accelerated[1:]] == [reply.body for reply in plain[1:]]


@pytest.mark.parametrize("image", ["xgboost", "lightgbm"])
def test_the_algorithms(make_tree: Any, serve: Any, image: str, tmp_path: Path) -> None:
    answers: list[Any] = []
    for settings in (ASKED | {"SAGESPEC_PACKAGES": str(tmp_path / "packages")}, {}):
        tree = make_tree(image, host=f"server-{len(answers)}")
        tree.model.mkdir(parents=True)
        if image == "xgboost":
            (tree.model / "xgboost-model").write_bytes(of_xgboost("classes").save_raw("ubj"))
        else:
            of_lightgbm("classes").save_model(tree.model / "lightgbm-model.txt")
        with serve(tree, **settings) as server:
            assert server.wait_until_it_answers().status == 200
            csv = "\n".join(",".join(map(str, row)) for row in FLOWERS.tolist())
            answers.append(server.invoke(csv, "text/csv", "text/csv").text)
        if settings:
            assert json.loads((tree.base / "accelerate.json").read_text())["is_on"]
    ours, theirs = (np.genfromtxt(text.splitlines(), delimiter=",") for text in answers)
    assert ours.shape == theirs.shape == (150, 3)
    assert np.allclose(ours, theirs, atol=1e-5)


def test_what_the_converter_gets_wrong_is_refused_with_the_differences() -> None:
    """onnxmltools writes probabilities where this objective wants what they are made of."""
    booster = xgboost.train({"objective": "binary:logitraw"}, xgboost.DMatrix(TUMORS, IS_BENIGN), 5)
    with pytest.raises(NoForm, match=r"1000 of 1000 sample rows have another answer: row \[.*\]: -?\d"):
        converted(subject_of_xgboost(booster))
