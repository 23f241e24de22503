"""The metrics of xgboost: lists of them, the hosted container's own, those that cannot be computed."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import xgboost
from sklearn.datasets import load_breast_cancer, load_iris
from toolkit.errors import ClientError
from toolkit.hyperparameters import read

from tests.images.test_xgboost import BINARY, IMAGE, as_csv, booster_of, metrics_in

ROOT = Path(__file__).parents[2]
IRIS = {"num_round": 3, "objective": "multi:softprob", "num_class": 3, "max_depth": 2}


@pytest.fixture(scope="module")
def settings() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "images" / IMAGE))
    yield importlib.import_module("xgboost_settings")
    sys.path.remove(str(ROOT / "images" / IMAGE))


@pytest.mark.parametrize("text", ["auc,error@0.3", '["auc","error@0.3"]', "[auc, error@0.3]", "auc, error@0.3,auc"])
def test_a_list_is_read_however_it_is_written(settings: Any, text: str) -> None:
    given = read(settings.Hyperparameters, {"num_round": "1", "objective": "binary:logistic", "eval_metric": text})
    assert sorted(settings.booster_parameters(given)["eval_metric"]) == ["auc", "error@0.3"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"eval_metric": "auc,loglos"}, "eval_metric=auc,loglos: loglos is unknown; did you mean logloss?"),
        ({"eval_metric": "auc,"}, "an empty word is unknown"),
        ({"eval_metric": "error@x"}, "error@x is unknown; did you mean error"),
        ({"updater": "prune,fresh"}, "fresh is unknown; did you mean refresh?"),
        ({"eval_metric": "merror"}, "eval_metric=merror does not fit binary:logistic: it is of a score per class"),
        ({"eval_metric": "aft-nloglik"}, "does not fit binary:logistic: it is for survival:aft"),
        ({"eval_metric": "f1", "objective": "reg:squarederror"}, "f1 does not fit reg:squarederror: it is for classes"),
        ({"eval_metric": "rmse"} | IRIS, "rmse does not fit multi:softprob: it is of one score a row"),
        ({"eval_metric": "precision"} | IRIS, "it is for two classes; take precision_macro"),
        ({"_tuning_objective_metric": "validation:acc"}, "_tuning_objective_metric=validation:acc is no metric"),
        ({"eta": "0.1", "learning_rate": "0.1"}, "learning_rate is another name of eta"),
        ({"monotone_constraints": "(1,2)"}, "must be 1, 0 or -1 for each feature"),
        ({"sampling_method": "gradient_based", "tree_method": "exact"}, "is for tree_method hist and approx"),
        ({"process_type": "update"}, "changes trees that are there: give updater refresh or prune"),
        ({"process_type": "update", "updater": "refresh", "_kfold": "2"}, "_kfold trains models of its own"),
        ({"_num_cv_round": "2"}, "_num_cv_round repeats _kfold, which is not given"),
    ],
)
def test_what_does_not_go_together_is_said_before_any_row_is_read(settings: Any, given: Any, said: str) -> None:
    texts = {name: str(value) for name, value in (BINARY | given).items()}
    with pytest.raises(ClientError) as caught:
        settings.check_settings(read(settings.Hyperparameters, texts), has_validation=True)
    assert said in str(caught.value)


def test_settings_that_hosted_jobs_bring_reach_xgboost_or_are_said_to_do_nothing(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ignored = ("lambda_bias", "prob_buffer_row", "use_dask_gpu_training", "silent", "sketch_eps")
    given = {
        "num_round": "1", "learning_rate": "0.2", "reg_lambda": "2", "process_type": "update", "updater": '["refresh"]',
        "refresh_leaf": "0", "sampling_method": "gradient_based", "monotone_constraints": "[1, 0,-1]",
        "aft_loss_distribution": "extreme", "aft_loss_distribution_scale": "1.2", "tweedie_variance_power": "1.2",
        "eval_metric": "rmse,tweedie-nloglik,mae", "_tuning_objective_metric": "validation:rmse",
    }  # fmt: skip
    read_from = read(settings.Hyperparameters, given | dict.fromkeys(ignored, "1"))
    parameters = settings.booster_parameters(read_from)
    assert read_from.metrics[-1] == "rmse", "what a tuning job looks at is what stops early"
    wanted = given | {"eval_metric": ["tweedie-nloglik@1.2", "mae", "rmse"], "monotone_constraints": "(1, 0,-1)"}
    wanted |= {"objective": "reg:squarederror", "updater": "refresh"}
    asked = {name: str(value) for name, value in wanted.items() if name[0] != "_" and name != "num_round"}
    assert {name: str(value) for name, value in parameters.items()} == {
        name: str(float(value)) if name in ("reg_lambda",) else value for name, value in asked.items()
    }
    printed = capsys.readouterr().out
    assert all(f"hyperparameter {name} has no effect: " in printed for name in ignored)


OWN_OF_CLASSES = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision_macro",
    "precision_micro",
    "recall_macro",
    "recall_micro",
)
OWN_OF_TWO = (*OWN_OF_CLASSES, "f1_binary", "precision", "recall", "mse", "r2")


def by_scikit_learn(name: str, labels: Any, scores: Any) -> float:
    classes = scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0.5).astype(int)
    base, _, average = name.partition("_")
    functions = {
        "accuracy": lambda: sklearn.metrics.accuracy_score(labels, classes),
        "balanced": lambda: sklearn.metrics.balanced_accuracy_score(labels, classes),
        "mse": lambda: sklearn.metrics.mean_squared_error(labels, scores),
        "r2": lambda: sklearn.metrics.r2_score(labels, scores),
        "f1": lambda: sklearn.metrics.f1_score(labels, classes, average=average or "macro"),
        "precision": lambda: sklearn.metrics.precision_score(labels, classes, average=average or "binary"),
        "recall": lambda: sklearn.metrics.recall_score(labels, classes, average=average or "binary"),
    }
    return float(functions[base]())


@pytest.mark.parametrize(
    ("given", "load", "names"), [(BINARY, load_breast_cancer, OWN_OF_TWO), (IRIS, load_iris, OWN_OF_CLASSES)]
)
def test_own_metrics_are_those_of_scikit_learn_over_all_hosts(
    make_tree: Any, run_hosts: Any, given: Any, load: Any, names: Any
) -> None:
    features, labels = load(return_X_y=True)
    hosts = ("algo-1", "algo-2")
    settings = given | {"num_round": 2, "eval_metric": json.dumps(names)}
    rows = as_csv(features, labels).splitlines()
    cut = len(rows) // 3
    parts = ("\n".join(rows[:cut]), "\n".join(rows[cut:]))
    trees = [
        make_tree(IMAGE, settings, {"train": part}, host=host, hosts=hosts)
        for host, part in zip(hosts, parts, strict=True)
    ]
    (code, printed), _ = run_hosts(trees)
    assert code == 0, printed
    scores = booster_of(trees[0]).inplace_predict(features)
    found = {name: metrics_in(printed)[f"train:{name}"][-1] for name in names}
    assert found == pytest.approx({name: by_scikit_learn(name, labels, scores) for name in names}, abs=1e-5)


def test_training_stops_by_the_last_metric_that_was_asked_for(make_tree: Any) -> None:
    """Though accuracy is computed after XGBoost's own; larger is better of it, and smaller of the other."""
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)
    channels = {"train": as_csv(features, labels), "validation": as_csv(-features, labels)}
    for asked, best in (("accuracy,logloss", np.argmin), ("logloss,accuracy", np.argmax)):
        settings = BINARY | {"num_round": 100, "early_stopping_rounds": 3, "eval_metric": asked}
        tree = make_tree(IMAGE, settings, channels)
        code, printed = tree.train()
        assert code == 0, printed
        values = metrics_in(printed)[f"validation:{asked.partition(',')[2]}"]
        assert len(values) < 100
        assert booster_of(tree).num_boosted_rounds() == int(best(values)) + 1


def test_a_metric_that_cannot_be_computed_is_said(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    channels = {"train": as_csv(features, labels), "validation": as_csv(features[:20], np.ones(20))}
    said = "validation:auc cannot be computed: all labels of channel validation are 1"
    tree = make_tree(IMAGE, BINARY | {"eval_metric": "logloss,auc"}, channels)
    code, printed = tree.train()
    assert (code, printed.count(said)) == (0, 1), printed
    assert json.loads((tree.base / "output/read.json").read_text())["validation"]["notes"] == [said]
    assert booster_of(tree).num_boosted_rounds() == 8

    one_class = {"train": channels["validation"], "validation": channels["train"]}
    tree = make_tree(IMAGE, BINARY | {"eval_metric": "auc,logloss", "early_stopping_rounds": 2}, one_class)
    code, printed = tree.train()
    assert code == 0, "it stops by another one"
    assert "all labels of channel train are 1: there is nothing to tell apart" in printed

    tree = make_tree(IMAGE, BINARY | {"eval_metric": "logloss,auc", "early_stopping_rounds": 2}, channels)
    assert tree.train()[0] == 1
    assert f"ClientError: {said}, and early_stopping_rounds watches it" in tree.failure


@pytest.mark.parametrize(
    ("given", "train", "said"),
    [
        ({"eval_metric": "mape"}, "0,1\n1,2\n", "no model is saved: train:mape of round 0 is inf"),
        ({}, "3e38,1\n-3e38,2\n", "channel train has a label of 3e+38, too large to compute with"),
        ({"objective": "binary:logistic", "base_score": 2}, "0,1\n1,2\n", "XGBoost: base_score must be in (0,1) for"),
        ({"interaction_constraints": "[[0,"}, "0,1\n1,2\n", "XGBoost: Failed to parse feature interaction constraint"),
        ({"updater": "shotgun"}, "0,1\n1,2\n", "XGBoost: Unknown tree updater shotgun"),
        (
            {"objective": "binary:logistic"},
            "1,1\n-1,2\n",
            "train: part-0:2: label -1 does not fit binary:logistic, it must be from 0 to 1; write 0",
        ),
        ({"objective": "multi:softmax", "num_class": 2}, "1,1\n2,2\n", "from 0 to 1; count the classes from 0"),
        (
            {"objective": "reg:gamma"},
            "1,1\n0,2\n",
            "label 0 does not fit reg:gamma, it must be above 0; the first column",
        ),
        ({"csv_weights": 1}, "1,0,1\n0,0,2\n", "channel train: the weights of all rows are 0"),
        ({"csv_weights": 1}, "1,2,1\n0,,2\n", "column 2 is empty or NaN; the second column is the weight"),
        (
            {"process_type": "update", "updater": "refresh"},
            "1,1\n0,2\n",
            "changes the trees of a checkpoint, and there",
        ),
    ],
)
def test_what_cannot_be_learned_is_one_sentence(make_tree: Any, given: Any, train: Any, said: Any) -> None:
    tree = make_tree(IMAGE, {"num_round": 2} | given, {"train": train})
    code, printed = tree.train()
    assert code == 1, printed
    assert tree.failure.startswith("ClientError: "), tree.failure
    assert said in tree.failure
    assert not {"[bt]", "/workspace/", "Check failed", "Traceback"} & set(printed.split()), printed


@pytest.mark.parametrize("validation_has_weights", [True, False])
def test_validation_may_have_weights_or_none_as_hosted(make_tree: Any, validation_has_weights: bool) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    weights = 1.0 + np.arange(len(labels)) % 3
    weighted = np.column_stack([weights, features])
    channels = {
        "train": as_csv(weighted[:400], labels[:400]),
        "validation": as_csv((weighted if validation_has_weights else features)[400:], labels[400:]),
    }
    settings = BINARY | {"csv_weights": 1, "early_stopping_rounds": 2, "eval_metric": "logloss", "num_round": 30}
    tree = make_tree(IMAGE, settings, channels)
    code, printed = tree.train()
    assert code == 0, printed
    train = xgboost.DMatrix(features[:400], labels[:400], weight=weights[:400])
    of_validation = weights[400:] if validation_has_weights else None
    validation = xgboost.DMatrix(features[400:], labels[400:], weight=of_validation)
    log: dict[str, Any] = {}
    parameters = {"objective": "binary:logistic", "max_depth": 3, "eval_metric": "logloss"}
    by_hand = xgboost.train(
        parameters,
        train,
        30,
        evals=[(validation, "validation")],
        early_stopping_rounds=2,
        evals_result=log,
        verbose_eval=False,
    )
    assert metrics_in(printed)["validation:logloss"] == pytest.approx(log["validation"]["logloss"], abs=1e-5)
    assert booster_of(tree).num_boosted_rounds() == by_hand.best_iteration + 1


def test_survival_times_may_be_censored(make_tree: Any) -> None:
    features, _ = load_breast_cancer(return_X_y=True)
    times = 1 + features[:, 0] / 10
    is_censored = np.arange(len(times)) % 3 == 0
    settings = {"num_round": 4, "objective": "survival:aft", "aft_loss_distribution": "logistic", "seed": 1}
    settings |= {"aft_loss_distribution_scale": 1.5, "eval_metric": "interval-regression-accuracy,aft-nloglik"}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features, np.where(is_censored, -times, times))})
    code, printed = tree.train()
    assert code == 0, printed
    matrix = xgboost.DMatrix(features)
    matrix.set_info(label_lower_bound=times, label_upper_bound=np.where(is_censored, np.inf, times))
    names = ("objective", "aft_loss_distribution", "aft_loss_distribution_scale")
    parameters = {name: settings[name] for name in names} | {"eval_metric": ["aft-nloglik"]}
    log: dict[str, Any] = {}
    by_hand = xgboost.train(parameters, matrix, 4, evals=[(matrix, "train")], evals_result=log, verbose_eval=False)
    np.testing.assert_array_equal(booster_of(tree).predict(matrix), by_hand.predict(matrix))
    assert metrics_in(printed)["train:aft-nloglik"] == pytest.approx(log["train"]["aft-nloglik"], abs=1e-5)


def test_trees_of_a_checkpoint_are_refreshed(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    before = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(features, labels), 4)
    settings = BINARY | {"num_round": 8, "process_type": "update", "updater": "refresh,prune", "refresh_leaf": 1}
    tree = make_tree(IMAGE, settings, {"train": as_csv(features[:300], labels[:300])})
    folder = tree.base / "checkpoints"
    folder.mkdir()
    (folder / "xgboost-checkpoint.3").write_bytes(before.save_raw("ubj"))
    tree.write_config("checkpointconfig", {"LocalPath": str(folder)})
    code, printed = tree.train()
    assert code == 0, printed
    assert "Unknown file format" not in printed
    after = booster_of(tree)
    assert after.num_boosted_rounds() == 4
    assert not np.array_equal(after.inplace_predict(features), before.inplace_predict(features))
