"""The fast forms of models answer as the models do, in value, shape, type and JSON, or there is none."""

from __future__ import annotations

import json
import warnings
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris, make_regression
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from toolkit.codecs import encode
from toolkit.onnx_check import compared, margins_of
from toolkit.onnx_convert import Made, converted
from toolkit.onnx_form import Accelerated, Form, NoForm, session_of
from toolkit.onnx_sklearn import subject_of

TUMORS, IS_BENIGN = load_breast_cancer(return_X_y=True)
FLOWERS, SPECIES = load_iris(return_X_y=True)
LENGTHS, SIZES = make_regression(400, 8, noise=5, random_state=0)
WORDS = np.array(["malignant", "benign"])[IS_BENIGN]
NAMED = pd.DataFrame(FLOWERS, columns=["sepal length", "sepal width", "petal length", "petal width"])


def trees(count: int = 20) -> dict[str, Any]:
    return {"n_estimators": count, "random_state": 0}


MODELS: dict[str, tuple[Any, Any, Any]] = {
    "logistic regression": (LogisticRegression(max_iter=5000), TUMORS, IS_BENIGN),
    "several classes": (LogisticRegression(max_iter=5000), FLOWERS, SPECIES),
    "labels that are words": (make_pipeline(StandardScaler(), LogisticRegression()), TUMORS, WORDS),
    "linear regression": (LinearRegression(), LENGTHS, SIZES),
    "two targets": (Ridge(), LENGTHS, np.column_stack([SIZES, 2 * SIZES])),
    "forest": (RandomForestClassifier(**trees()), TUMORS, IS_BENIGN),
    "forest of a table": (RandomForestClassifier(**trees()), NAMED, np.array(["a", "b", "c"])[SPECIES]),
    "forest of numbers": (RandomForestRegressor(**trees()), LENGTHS, SIZES),
    "forest of two targets": (RandomForestRegressor(**trees()), LENGTHS, np.column_stack([SIZES, 2 * SIZES])),
    "extra trees": (ExtraTreesClassifier(**trees()), TUMORS, WORDS),
    "boosting": (GradientBoostingClassifier(**trees()), TUMORS, IS_BENIGN),
    "boosting of numbers": (GradientBoostingRegressor(**trees()), LENGTHS, SIZES),
    "histograms": (HistGradientBoostingClassifier(max_iter=20), TUMORS, IS_BENIGN),
    "histograms of numbers": (HistGradientBoostingRegressor(max_iter=20), LENGTHS, SIZES),
    "scaler and forest": (make_pipeline(StandardScaler(), RandomForestClassifier(**trees())), TUMORS, IS_BENIGN),
    "imputer and forest": (make_pipeline(SimpleImputer(), RandomForestClassifier(**trees())), TUMORS, IS_BENIGN),
    "support vectors": (SVC(), TUMORS, IS_BENIGN),
    "network": (MLPClassifier((8,), max_iter=30, random_state=0), FLOWERS, SPECIES),
    "xgboost": (xgboost.XGBClassifier(n_estimators=20), TUMORS, IS_BENIGN),
    "xgboost of classes": (xgboost.XGBClassifier(n_estimators=20), FLOWERS, SPECIES),
    "xgboost of numbers": (xgboost.XGBRegressor(n_estimators=20), LENGTHS, SIZES),
    "scaler and xgboost": (make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=9)), TUMORS, IS_BENIGN),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=20, verbose=-1), TUMORS, IS_BENIGN),
    "lightgbm of classes": (lightgbm.LGBMClassifier(n_estimators=20, verbose=-1), FLOWERS, SPECIES),
    "lightgbm of numbers": (lightgbm.LGBMRegressor(n_estimators=20, verbose=-1), LENGTHS, SIZES),
}
TAKE_MISSING = {"histograms", "histograms of numbers", "xgboost", "xgboost of classes", "xgboost of numbers"}
TAKE_MISSING |= {"lightgbm", "lightgbm of classes", "lightgbm of numbers", "imputer and forest", "scaler and xgboost"}


def fitted(name: str) -> tuple[Any, Any]:
    model, features, labels = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network that needs more rounds
        return model.fit(features, labels), np.asarray(features)


def form_of(made: Made) -> Form:
    return Form(made.facts, session_of(made.graph))


def never() -> Any:
    raise AssertionError("the original was asked")


def rows_like(features: Any, count: int = 2000) -> Any:
    """Rows of real ones, each value a little off, and of values with few digits as people send them."""
    generator = np.random.default_rng(5)
    mixed = features[generator.integers(0, len(features), (count, features.shape[1])), np.arange(features.shape[1])]
    moved = mixed + generator.standard_normal(mixed.shape) * features.std(axis=0) * 0.1
    return np.where(generator.random((count, 1)) < 0.5, moved, np.round(moved, 1))


@pytest.mark.filterwarnings("ignore")  # of names that the rows do not have, and of newer libraries
@pytest.mark.parametrize("name", MODELS)
def test_a_form_answers_as_the_model_does(name: str) -> None:
    model, features = fitted(name)
    made = converted(subject_of(model))
    fast = Accelerated(form_of(made), never)

    for rows in (features, rows_like(features), features[:1], np.round(features[:7])):
        asked, given = model.predict(rows), fast.predict(rows)
        margins = margins_of(model, rows) if asked.dtype.kind not in "f" else None
        assert compared(asked, given, rows, margins=margins).is_close
        assert (given.dtype, given.shape) == (asked.dtype, asked.shape)
    asked, given = model.predict(features[:20]), fast.predict(features[:20])
    ours, theirs = (np.array(json.loads(encode(answer, "application/json")[0])) for answer in (given, asked))
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-3) if ours.dtype.kind == "f" else (ours == theirs).all()

    gaps = rows_like(features, 300)
    gaps[np.random.default_rng(1).random(gaps.shape) < 0.2] = np.nan
    assert made.facts.takes_missing == (name in TAKE_MISSING)
    if name in TAKE_MISSING:
        assert compared(model.predict(gaps), fast.predict(gaps), gaps).is_close


TRAVELLERS = pd.DataFrame(
    {
        "age": np.random.default_rng(0).integers(18, 80, 400).astype(float),
        "fare": np.random.default_rng(1).lognormal(3, 1, 400),
        "deck": np.random.default_rng(2).choice(["a", "b", "c"], 400),
        "note": "not used",
    }
)
SURVIVED = ((TRAVELLERS.age > 40) & (TRAVELLERS.deck != "c")).astype(int).to_numpy()


def of_columns() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("numbers", numbers, ["age", "fare"]), ("words", words, ["deck"])])


@pytest.mark.parametrize("last", [LogisticRegression(), RandomForestClassifier(**trees())], ids=["linear", "forest"])
@pytest.mark.filterwarnings("ignore")
def test_named_columns_of_numbers_and_words(last: Any) -> None:
    model = make_pipeline(of_columns(), last).fit(TRAVELLERS, SURVIVED)
    made = converted(subject_of(model))
    fast = Accelerated(form_of(made), never)
    asked = TRAVELLERS.assign(deck=np.where(TRAVELLERS.age > 70, "never seen", TRAVELLERS.deck))
    assert (fast.predict(asked) == model.predict(asked)).all()
    assert made.facts.names == ("age", "fare", "deck", "note")

    original = Accelerated(form_of(made), lambda: model)
    shuffled = TRAVELLERS[["fare", "age", "deck", "note"]]
    assert (original.predict(shuffled) == model.predict(shuffled)).all()
    with pytest.raises(ValueError, match="columns are missing"):
        original.predict(TRAVELLERS[["age", "fare"]])


@pytest.mark.filterwarnings("ignore")
def test_what_a_form_was_not_checked_for_is_answered_by_the_original() -> None:
    model = LogisticRegression(max_iter=5000).fit(NAMED, SPECIES)
    fast = Accelerated(form_of(converted(subject_of(model))), lambda: model)
    with pytest.raises(ValueError, match="X has 3 features, but LogisticRegression is expecting 4"):
        fast.predict(FLOWERS[:, :3])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fast.predict(np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match="feature names should match"):
        fast.predict(NAMED.rename(columns={"petal width": "width"}))
    assert fast.predict_proba(FLOWERS[:2]).tolist() == model.predict_proba(FLOWERS[:2]).tolist()
    assert fast.classes_.tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (KNeighborsClassifier(metric=lambda a, b: abs(a - b).max()).fit(FLOWERS, SPECIES), "Error: "),
        (
            RandomForestClassifier(5).fit(FLOWERS, np.column_stack([SPECIES, SPECIES])),
            "sample rows have another answer",
        ),
        ({"weights": [1, 2]}, "it is a dict, which is no model of scikit-learn, XGBoost or LightGBM"),
    ],
    ids=["own metric", "two labels", "dict"],
)
def test_no_form_of_what_cannot_be_converted_or_answers_otherwise(model: Any, reason: str) -> None:
    with pytest.raises(NoForm, match=reason):
        converted(subject_of(model))


@pytest.mark.filterwarnings("ignore")
def test_trees_whose_thresholds_float32_cannot_tell_apart_are_refused_with_the_differences() -> None:
    """Two thresholds between 1 and the next float32: rows between them fall on either side in float64 only."""
    rows = 1 + np.repeat(np.arange(4), 50).reshape(-1, 1) * 1e-8
    answers = np.repeat([1.0, 5.0, 2.0, 9.0], 50)
    settings: dict[str, Any] = {
        "min_data_in_bin": 1,
        "min_child_samples": 1,
        "n_estimators": 30,
        "learning_rate": 0.5,
        "verbose": -1,
    }
    model = lightgbm.LGBMRegressor(**settings).fit(rows, answers)
    assert np.ptp(model.predict(rows)) > 1, "LightGBM itself tells them apart"
    with pytest.raises(NoForm) as refused:
        converted(subject_of(model))
    said = str(refused.value)
    assert "of 1000 sample rows have another answer: row [1.0000000" in said
    assert ": 9, not " in said
