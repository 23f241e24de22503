"""Models that people bring, served as they are: of any name, pickled, or saved by MLflow."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import pytest
import xgboost
import yaml
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from toolkit import handlers, mlflow_model
from toolkit.errors import ClientError

from tests.images.conftest import IMAGES
from tests.images.test_fuzz import imported

FEATURES, LABELS = load_iris(return_X_y=True)
IS_SECOND = (LABELS == 1).astype(int)
ROW = FEATURES[60:61]


def booster() -> xgboost.Booster:
    return xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(FEATURES, IS_SECOND), 3)


def mlmodel(flavors: dict[str, Any]) -> str:
    """As MLflow 3 writes it."""
    document = {
        "artifact_path": "model",
        "flavors": flavors,
        "mlflow_version": "3.1.0",
        "model_uuid": "0d1",
        "signature": {"inputs": '[{"type": "double", "required": true}]', "outputs": None, "params": None},
        "utc_time_created": "2026-01-02 03:04:05.678901",
        "is_signature_from_type_hint": False,
    }
    return yaml.safe_dump(document, default_flow_style=False)


PYTHON_FUNCTION = {"env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}, "loader_module": "mlflow.sklearn"}


MLFLOW = """
class Model:
    def predict(self, rows):
        return rows.sum(axis=1)
def load_model(folder):
    return Model()
"""


def save_any_name(folder: Path) -> None:
    (folder / ".hidden").write_text("not me")
    booster().save_model(folder / "model.json")


def save_pickle(folder: Path) -> None:
    (folder / "xgboost-model").write_bytes(pickle.dumps(booster()))


def save_pickled_classifier(folder: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=3).fit(FEATURES, IS_SECOND)
    (folder / "model.pkl").write_bytes(pickle.dumps(model))


def save_by_mlflow(folder: Path) -> None:
    booster().save_model(folder / "model.ubj")
    flavors = {
        "python_function": PYTHON_FUNCTION,
        "xgboost": {"code": None, "data": "model.ubj", "xgb_version": "3.2.0"},
    }
    (folder / "MLmodel").write_text(mlmodel(flavors))
    (folder / "conda.yaml").write_text("name: mlflow-env\n")


@pytest.mark.parametrize("save", [save_any_name, save_pickle, save_pickled_classifier, save_by_mlflow])
def test_a_booster_is_served_as_it_was_saved(make_tree: Any, serve: Any, save: Any) -> None:
    tree = make_tree("xgboost")
    tree.model.mkdir()
    save(tree.model)
    with serve(tree) as server:
        ping = server.wait_until_it_answers()
        assert ping.status == 200, ping.text
        answer = float(server.invoke(",".join(map(str, ROW[0])), "text/csv").text)
    assert answer == pytest.approx(booster().inplace_predict(ROW)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "xgboost-model is missing at the archive's root: the archive is empty"),
        (
            {"model/xgboost-model": b"x"},
            "the archive holds model/xgboost-model; pack what is in model/, not the folder",
        ),
        ({"model.bin": b"binf\x00\x00"}, "it is in the binary format of XGBoost before 3.1); if an older"),
        ({"model.bin": b"\xef\xef"}, "if an older XGBoost wrote it, load it there and save it as JSON or UBJSON"),
        ({"model.pkl": pickle.dumps([1])}, "model.pkl is no model that XGBoost"),
        ({"MLmodel": mlmodel({"sklearn": {"pickled_model": "m"}}).encode()}, "a model of sklearn, not of xgboost"),
    ],
)
def test_a_booster_that_is_not_there_or_none_is_told_in_a_sentence(tmp_path: Path, files: Any, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ClientError, match=r".") as refused:
        imported("xgboost", "xgboost_files").load_booster(tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_model_that_is_not_there_is_told_with_what_is(make_tree: Any) -> None:
    tree = make_tree("linear-learner")
    (tree.model / "top").mkdir(parents=True)
    (tree.model / "top/linear.npz").write_text("1")
    assert tree.end_of_serve() == (
        1,
        "the model could not be loaded: linear.npz is missing at the archive's root: "
        "the archive holds top/linear.npz; pack what is in top/, not the folder",
    )


def test_scripts_that_are_not_used_are_named(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    code = tmp_path / "model/code"
    code.mkdir(parents=True)
    for path in (code / "serve.py", tmp_path / "model/inference.py"):
        path.write_text("")
    assert not handlers.has_script()
    assert handlers.find_script(code) is None
    assert capsys.readouterr().out == 2 * (
        "code/ holds serve.py, but no inference.py: the default handlers answer\n"
        "inference.py at the archive's root is not used: its place is code/\n"
    )


@pytest.mark.parametrize("name", ["model.joblib", "classifier.pkl", "MLmodel", "MLmodel of skops"])
def test_a_model_of_scikit_learn_is_served_as_it_was_saved(make_tree: Any, serve: Any, name: str) -> None:
    model = LogisticRegression(max_iter=1000).fit(FEATURES, LABELS)
    tree = make_tree("sklearn")
    tree.model.mkdir()
    if name.startswith("MLmodel"):
        kind, ending = ("skops", "skops") if name.endswith("skops") else ("cloudpickle", "pkl")
        settings = {"code": None, "pickled_model": f"model.{ending}", "serialization_format": kind}
        (tree.model / "MLmodel").write_text(mlmodel({"python_function": PYTHON_FUNCTION, "sklearn": settings}))
        content = pytest.importorskip("skops.io").dumps(model) if kind == "skops" else pickle.dumps(model)
        (tree.model / f"model.{ending}").write_bytes(content)
    elif name.endswith(".pkl"):
        (tree.model / name).write_bytes(pickle.dumps(model))
    else:
        joblib.dump(model, tree.model / name)
    table = {"dataframe_split": {"columns": list("abcd"), "data": FEATURES[::30].tolist()}}
    with serve(tree) as server:
        ping = server.wait_until_it_answers()
        assert ping.status == 200, ping.text
        assert server.invoke(json.dumps(table), "application/json").json == model.predict(FEATURES[::30]).tolist()


def test_what_mlflow_writes_is_read_without_a_parser_of_yaml(tmp_path: Path) -> None:
    text = mlmodel(
        {
            "python_function": {**PYTHON_FUNCTION, "streamable": False},
            "xgboost": {"code": None, "data": "a 'quoted' name.ubj", "list": [1, {"data": "not this"}]},
            "other": {"data": "yes", "text": "several\nlines: of text"},
        }
    )
    (tmp_path / "MLmodel").write_text(text)
    read = mlflow_model.read(tmp_path)
    assert read is not None
    expected = yaml.safe_load(text)["flavors"]
    assert list(read.flavors) == list(expected)
    for flavor, setting in (("xgboost", "data"), ("other", "data"), ("python_function", "loader_module")):
        assert read.file(flavor, setting) == expected[flavor][setting]


def test_what_loads_a_model_of_mlflows_is_installed_if_it_is_not_there(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "MLmodel").write_text(mlmodel({"sklearn": {"pickled_model": "m", "serialization_format": "skops"}}))
    (tmp_path / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn==1.9.1\nskops==0.16.0")
    assert mlflow_model.needed(tmp_path, "sklearn") == []
    monkeypatch.setattr(mlflow_model, "is_installed", lambda name: name != "skops")
    assert mlflow_model.needed(tmp_path, "sklearn") == ["skops==0.16.0"]
    (tmp_path / "requirements.txt").unlink()
    assert mlflow_model.needed(tmp_path, "sklearn") == ["skops"]


def test_a_python_function_of_mlflows_is_loaded_by_mlflow_or_refused_at_once(make_tree: Any, serve: Any) -> None:
    tree = make_tree("sklearn")
    tree.model.mkdir()
    (tree.model / "MLmodel").write_text(mlmodel({"python_function": {"loader_module": "mlflow.pyfunc.model"}}))
    code, said = tree.end_of_serve()
    assert code == 1
    assert "describes a model of python_function, which mlflow has to load" in said
    (tree.model / "requirements.txt").write_text("mlflow-skinny==3.9.0  # as saved\n--pre\nnumpy\n")
    assert mlflow_model.needed(tree.model, "sklearn") == ["mlflow-skinny==3.9.0", "numpy"]
    (tree.model / "mlflow").mkdir()
    (tree.model / "mlflow" / "__init__.py").touch()
    (tree.model / "mlflow" / "pyfunc.py").write_text(MLFLOW)
    with serve(tree, PYTHONPATH=f"{IMAGES}:{tree.model}") as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke("1,2", "text/csv").json == [3]


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret"])
def test_a_description_of_mlflows_cannot_point_outside_its_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / "MLmodel").write_text(mlmodel({"xgboost": {"data": name}}))
    read = mlflow_model.read(tmp_path)
    assert read is not None
    with pytest.raises(ClientError, match="outside the archive"):
        read.file("xgboost", "data")
