"""Cross-validation of xgboost: _kfold and _num_cv_round, and an archive with several models."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import xgboost
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from toolkit.data import Table

from tests.images.test_toolkit import load
from tests.images.test_xgboost import BINARY, IMAGE, as_csv, metrics_in

IRIS = {"num_round": 3, "objective": "multi:softprob", "num_class": 3}
NUMBERS = {"num_round": 3, "objective": "reg:squarederror"}


def models_of(tree: Any) -> list[xgboost.Booster]:
    names = sorted(path.name for path in tree.model.iterdir())
    assert names == [f"xgboost-model-{number}" for number in range(len(names))]
    return [xgboost.Booster(model_file=bytearray((tree.model / name).read_bytes())) for name in names]


def predictions_of(tree: Any) -> Any:
    return np.loadtxt(tree.base / "output/data/predictions.csv", delimiter=",")


@pytest.mark.parametrize(("given", "load", "repeats"), [(IRIS, load_iris, 1), (NUMBERS, load_diabetes, 2)])
def test_each_fold_is_predicted_by_the_model_of_the_others(make_tree: Any, given: Any, load: Any, repeats: Any) -> None:
    features, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    features, labels = features[order], labels[order]
    cut = len(labels) * 3 // 4
    channels = {"train": as_csv(features[:cut], labels[:cut]), "validation": as_csv(features[cut:], labels[cut:])}
    tree = make_tree(IMAGE, given | {"_kfold": 3, "_num_cv_round": repeats, "seed": 5}, channels)
    code, printed = tree.train()
    assert code == 0, printed

    is_classifier = given is not NUMBERS
    kind = RepeatedStratifiedKFold if is_classifier else RepeatedKFold
    splits = kind(n_splits=3, n_repeats=repeats, random_state=5).split(features, labels)
    parameters = {name: value for name, value in given.items() if name != "num_round"} | {"seed": 5}
    predicted = np.zeros((len(labels), repeats, given.get("num_class", 1)))
    for number, ((rest, left_out), model) in enumerate(zip(splits, models_of(tree), strict=True)):
        by_hand = xgboost.train(parameters, xgboost.DMatrix(features[rest], labels[rest]), given["num_round"])
        np.testing.assert_array_equal(model.inplace_predict(features), by_hand.inplace_predict(features))
        scores = by_hand.inplace_predict(features[left_out])
        predicted[left_out, number // 3] = scores.reshape(len(left_out), -1)

    columns = predictions_of(tree)
    np.testing.assert_allclose(columns[:, 0], labels, atol=1e-6)
    np.testing.assert_allclose(columns[:, 1], predicted.max(axis=2).mean(axis=1), atol=1e-5)
    assert columns.shape[1] == 2 + is_classifier
    if given is IRIS:
        np.testing.assert_array_equal(columns[:, 2], predicted[:, 0].argmax(axis=1))
    assert printed.count("\nfold 1 of 3\n") + printed.startswith("fold 1 of 3\n") == repeats
    means = [line for line in printed.splitlines() if line.startswith(f"[{given['num_round']}]")]
    assert len(means) == (repeats + 1 if repeats > 1 else 1), "the mean of each repetition, and that of all"


def test_two_hosts_have_the_folds_of_one(make_tree: Any, run_hosts: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    rows = as_csv(features, labels).splitlines()
    hosts, settings = ("algo-1", "algo-2"), BINARY | {"_kfold": 2, "eval_metric": "accuracy"}
    parts = ("\n".join(rows[:200]), "\n".join(rows[200:]))
    trees = [
        make_tree(IMAGE, settings, {"train": part}, host=host, hosts=hosts)
        for host, part in zip(hosts, parts, strict=True)
    ]
    (code, printed), (other_code, _) = run_hosts(trees)
    assert (code, other_code) == (0, 0), printed
    alone = make_tree(IMAGE, settings, {"train": "\n".join(rows)}, host="alone", hosts=("alone",))
    assert alone.train()[0] == 0
    together = predictions_of(trees[0])
    np.testing.assert_array_equal(together[:, 0], labels)
    np.testing.assert_allclose(together[:, 1], predictions_of(alone)[:, 1], atol=0.15)
    assert metrics_in(printed)["validation:accuracy"][-1] == pytest.approx(
        np.mean([np.mean(together[:, 2] == labels)]), abs=0.01
    )
    assert len(models_of(trees[0])) == 2
    assert not list(trees[1].model.iterdir()), "only the master writes"
    assert not (trees[1].base / "output/data/predictions.csv").exists()


@pytest.mark.parametrize("rows", [np.empty((0, 2)), np.array([[0.0, np.nan]])])
def test_dense_rows_beside_sparse_ones_keep_their_zeros(rows: Any) -> None:
    tables = [Table(np.zeros(len(rows)), rows), Table(np.zeros(1), csr_array([[0.0, 2.0]]))]
    joined = load("xgboost", "xgboost_folds")._joined(tables).features
    assert joined.shape == (len(rows) + 1, 2)
    assert joined.nnz == rows.size + 1


def test_early_stopping_cuts_the_model_of_each_fold(make_tree: Any) -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)
    settings = BINARY | {"num_round": 100, "early_stopping_rounds": 3, "_kfold": 2, "eval_metric": "logloss"}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, labels)})
    code, printed = tree.train()
    assert code == 0, printed
    folds = [metrics_in(part)["validation:logloss"] for part in re.split(r"(?m)^fold", printed)[1:]]
    folds[-1].pop()  # the mean
    assert [m.num_boosted_rounds() for m in models_of(tree)] == [int(np.argmin(losses)) + 1 for losses in folds]
    assert metrics_in(printed)["validation:logloss"][-1] == pytest.approx(np.mean([min(f) for f in folds]), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "train", "said"),
    [
        (BINARY | {"_kfold": 9}, "1,2\n0,3\n", "_kfold=9 does not fit the rows"),
        (BINARY | {"_kfold": 2}, "0.5,2\n0,3\n", "_kfold=2 does not fit the rows"),
        (NUMBERS | {"_kfold": 5}, "1,2\n0,3\n", "_kfold=5 does not fit the rows"),
    ],
)
def test_folds_that_cannot_be_made_are_said(make_tree: Any, given: Any, train: Any, said: Any) -> None:
    tree = make_tree(IMAGE, given, {"train": train})
    assert tree.train()[0] == 1
    assert said in tree.failure
    assert tree.failure.startswith("ClientError: ")


def by_vote(scores: Any) -> Any:
    return np.array([np.bincount(votes.astype(int)).argmax() for votes in scores.T])


@pytest.mark.parametrize(
    ("objective", "enabled", "expected"),
    [
        ("multi:softprob", "", lambda scores: scores.mean(axis=0)),
        ("multi:softmax", "true", by_vote),
        ("multi:softmax", "false", lambda scores: scores[0]),
    ],
)
def test_several_models_answer_together(
    make_tree: Any, serve: Any, objective: Any, enabled: Any, expected: Any
) -> None:
    """With their average, or the class that most of them predict."""
    features, labels = load_iris(return_X_y=True)
    tree = make_tree(IMAGE, IRIS | {"objective": objective, "num_round": 1, "max_depth": 1})
    for number, start in enumerate((0, 1, 2)):
        matrix = xgboost.DMatrix(features[start::3], labels[start::3])
        model = xgboost.train({"objective": objective, "num_class": 3, "max_depth": 1}, matrix, 1)
        tree.model.mkdir(exist_ok=True)
        (tree.model / f"xgboost-model-{number}").write_bytes(model.save_raw("ubj"))
    scores = np.array([model.inplace_predict(features) for model in models_of(tree)])
    with serve(tree, **({"SAGEMAKER_INFERENCE_ENSEMBLE": enabled} if enabled else {})) as server:
        server.wait_until_it_answers()
        answer = server.invoke(as_csv(features[:, 1:], features[:, 0]), "text/csv").text
    given = np.array([[float(field) for field in line.split(",")] for line in answer.splitlines()])
    np.testing.assert_allclose(given, expected(scores).reshape(len(features), -1), rtol=1e-5)
    assert not np.array_equal(scores[0], by_vote(scores) if scores.ndim == 2 else scores.mean(axis=0)), "they differ"
