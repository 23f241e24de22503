"""The server of scikit-learn with `accelerate: onnx`: on, refused, kept from start to start, and beside scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

FEATURES, LABELS = load_iris(return_X_y=True)
ROWS = FEATURES[::10]


def furthest(one: Any, other: Any) -> float:
    return float(np.abs(one - other).max())


def with_model(tree: Any, model: Any, code: Mapping[str, str] | None = None) -> Any:
    tree.model.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, tree.model / "model.joblib")
    for name, text in (code or {}).items():
        path = tree.model / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tree


def said(tree: Any) -> Any:
    return json.loads((tree.base / "accelerate.json").read_text())


@pytest.fixture(scope="module")
def forest() -> Any:
    return RandomForestClassifier(20, random_state=0).fit(FEATURES, LABELS)


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, str]:
    return {"SAGESPEC_ACCELERATE": "onnx", "SAGESPEC_PACKAGES": str(tmp_path / "packages")}


def test_an_accelerated_server_answers_as_one_that_is_not(
    make_tree: Any, serve: Any, forest: Any, asked: dict[str, str]
) -> None:
    tree = with_model(make_tree("sklearn"), forest)
    bodies = [
        (json.dumps(ROWS.tolist()), "application/json"),
        (json.dumps({"instances": ROWS.tolist()}), "application/json"),
        ("5.1,3.5,1.4,0.2\n", "text/csv"),
        ("5.1,3.5,1.4\n", "text/csv"),
        ("[[1, 2, 3, null]]", "application/json"),
        ("[[1e39, 2, 3, 4]]", "application/json"),
        (json.dumps([{"a": 1.0, "b": 2.0}]), "application/json"),
    ]
    answers = []
    for settings in (asked, {}):
        with serve(tree, **settings) as server:
            assert server.wait_until_it_answers().status == 200
            answers.append([(r.status, r.body) for r in (server.invoke(body, kind) for body, kind in bodies)])
    assert answers[0] == answers[1]
    assert {status for status, _ in answers[0]} == {200, 400}
    assert said(tree)["is_on"]
    assert said(tree)["text"].startswith("RandomForestClassifier, checked on 1000 rows, the largest difference ")


def test_a_form_is_kept_and_the_next_start_imports_no_scikit_learn(
    make_tree: Any, serve: Any, forest: Any, asked: dict[str, str], tmp_path: Path
) -> None:
    forms = []
    for _ in range(2):
        tree = with_model(make_tree("sklearn"), forest)
        with serve(tree, **asked) as server:
            assert server.wait_until_it_answers().status == 200
            assert server.invoke(json.dumps(ROWS.tolist()), "application/json").json == forest.predict(ROWS).tolist()
            maps = [path.read_text() for path in Path("/proc").glob("[0-9]*/maps") if _is_of(path, server.process.pid)]
        assert maps
        assert not any("/sklearn/" in text for text in maps)
        forms.append({path.name: path.stat().st_mtime_ns for path in (tmp_path / "packages").glob("onnx-*/model.onnx")})
    assert len(forms[0]) == 1
    assert forms[0] == forms[1]


def _is_of(maps: Path, server: int) -> bool:
    """Whether it is of a process of the server."""
    try:
        return f"PPid:\t{server}\n" in (maps.parent / "status").read_text()
    except OSError:
        return False


def test_a_model_without_a_form_is_served_as_it_is_and_the_reason_is_kept(
    make_tree: Any, serve: Any, asked: dict[str, str]
) -> None:
    model = KNeighborsClassifier(3, metric=furthest).fit(FEATURES, LABELS)
    code = {"inference.py": f"from {__name__.rpartition('.')[2]} import furthest\n"}
    for _ in range(2):
        tree = with_model(make_tree("sklearn"), model, code)
        (tree.model / "code" / f"{__name__.rpartition('.')[2]}.py").write_text(SCRIPT_OF_FURTHEST)
        with serve(tree, **asked) as server:
            assert server.wait_until_it_answers().status == 200
            assert server.invoke(json.dumps(ROWS.tolist()), "application/json").json == model.predict(ROWS).tolist()
        assert not said(tree)["is_on"]
        assert "Error" in said(tree)["text"]


SCRIPT_OF_FURTHEST = "import numpy as np\ndef furthest(one, other):\n    return float(np.abs(one - other).max())\n"
OWN_MODEL = """
import os, joblib
def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""
OWN_OUTPUT = """
import json
def output_fn(prediction, accept):
    return json.dumps({"species": prediction.tolist()}), "application/json"
"""
OWN_PREDICTION = """
def predict_fn(data, model):
    return model.predict_proba(data)
"""


@pytest.mark.parametrize(
    ("script", "is_on"),
    [(OWN_MODEL, True), (OWN_OUTPUT, True), (OWN_PREDICTION, False)],
    ids=["model", "output", "all"],
)
def test_scripts_keep_what_they_do_themselves(
    make_tree: Any, serve: Any, forest: Any, asked: dict[str, str], script: str, is_on: bool
) -> None:
    tree = with_model(make_tree("sklearn"), forest, {"inference.py": script})
    with serve(tree, **asked) as server:
        assert server.wait_until_it_answers().status == 200
        answer: Any = server.invoke(json.dumps(ROWS.tolist()), "application/json").json
    labels = forest.predict(ROWS).tolist()
    if script == OWN_PREDICTION:
        assert np.allclose(answer, forest.predict_proba(ROWS))
        assert said(tree)["text"] == "the script has a predict_fn or transform_fn of its own, which is left as it is"
    else:
        assert (answer["species"] if script == OWN_OUTPUT else answer) == labels
    assert said(tree)["is_on"] == is_on


def test_the_example_that_mlflow_keeps_is_compared_too(
    make_tree: Any, serve: Any, forest: Any, asked: dict[str, str]
) -> None:
    tree = with_model(make_tree("sklearn"), forest)
    (tree.model / "serving_input_example.json").write_text(json.dumps({"inputs": ROWS.tolist()}))
    with serve(tree, **asked) as server:
        assert server.wait_until_it_answers().status == 200
    assert f"checked on {1000 + len(ROWS)} rows" in said(tree)["text"]


def test_what_is_not_installed_is_named_with_the_extra(
    make_tree: Any, serve: Any, forest: Any, asked: dict[str, str], tmp_path: Path
) -> None:
    """A folder in front of the packages hides onnxruntime, as in an environment without it."""
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(
        "import sys\nclass Hidden:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Hidden())\n"
    )
    tree = with_model(make_tree("sklearn"), forest)
    tree.env["PYTHONPATH"] = f"{hiding}:{Path(__file__).parents[2] / 'images'}"
    with serve(tree, **asked) as server:
        assert server.wait_until_it_answers().status == 200
    assert said(tree)["text"] == "onnxruntime is not installed: pip install 'sagespec[onnx]'"
