"""Linear models of scikit-learn without its checks: the same answers to the last bit, and its own words elsewhere."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn import linear_model, svm
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tests.images.test_fuzz import imported

FEATURES, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
IS_FIRST = LABELS == 0

LINEAR: dict[str, Callable[[], Any]] = {
    "two classes": lambda: linear_model.LogisticRegression().fit(FEATURES, IS_FIRST),
    "three classes": lambda: linear_model.LogisticRegression(max_iter=1000).fit(FEATURES, LABELS),
    "names": lambda: linear_model.LogisticRegression(max_iter=1000).fit(FEATURES, NAMES),
    "names as objects": lambda: linear_model.LogisticRegression(max_iter=1000).fit(FEATURES, NAMES.astype(object)),
    "float32": lambda: linear_model.LogisticRegression(max_iter=1000).fit(FEATURES.astype(np.float32), LABELS),
    "linear svc": lambda: svm.LinearSVC().fit(FEATURES, LABELS),
    "sgd": lambda: linear_model.SGDClassifier(random_state=0).fit(FEATURES, LABELS),
    "regression": lambda: linear_model.LinearRegression().fit(FEATURES[:, :3], FEATURES[:, 3]),
    "two targets": lambda: linear_model.LinearRegression().fit(FEATURES[:, :2], FEATURES[:, 2:]),
    "scaled": lambda: make_pipeline(StandardScaler(), linear_model.LogisticRegression()).fit(FEATURES, LABELS),
    "centred": lambda: make_pipeline(StandardScaler(with_std=False), svm.LinearSVC()).fit(FEATURES, LABELS),
}


class Cautious(linear_model.LogisticRegression):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))


def patched(model: Any) -> Any:
    model.predict = lambda rows: [0] * len(rows)
    return model


OTHERS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(3).fit(FEATURES, LABELS),
    "subclass": lambda: Cautious(max_iter=1000).fit(FEATURES, LABELS),
    "patched": lambda: patched(LINEAR["three classes"]()),
    "another scaler": lambda: make_pipeline(MinMaxScaler(), svm.LinearSVC()).fit(FEATURES, LABELS),
    "tables out": lambda: (
        make_pipeline(StandardScaler(), svm.LinearSVC()).set_output(transform="pandas").fit(FEATURES, LABELS)
    ),
    "sparse": lambda: LINEAR["three classes"]().sparsify(),
    "not fitted": linear_model.LogisticRegression,
    "no model": object,
}


def form_of(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers far from any that the model has seen
        return imported("sklearn", "sklearn_linear").form_of(model)


@pytest.mark.parametrize("kind", LINEAR)
def test_answers_are_scikit_learns_to_the_last_bit(kind: str) -> None:
    model = LINEAR[kind]()
    form = form_of(model)
    width = model.n_features_in_
    for rows in (FEATURES[:1, :width].copy(), FEATURES[:, :width].copy(), np.full((3, width), -0.0)):
        before = rows.copy()
        mine, theirs = form(rows), model.predict(rows)
        assert (mine.dtype, mine.tobytes()) == (theirs.dtype, theirs.tobytes())
        np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_models_answer_themselves(kind: str) -> None:
    assert form_of(OTHERS[kind]()) is None


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((2, 5)),
        np.zeros((0, 4)),
        np.zeros(4),
        np.array([[1, 2, 3, np.nan]]),
        np.array([[1, 2, 3, np.inf]]),
        np.zeros((1, 4), np.float32),
        np.zeros((1, 4), np.int64),
        np.array([["1", "2", "3", "4"]]),
        [[1.0, 2.0, 3.0, 4.0]],
        None,
    ],
)
def test_what_scikit_learn_would_look_at_is_left_to_it(table: Any) -> None:
    assert form_of(LINEAR["three classes"]())(table) is None


def test_a_model_that_goes_on_learning_answers_as_it_is_now() -> None:
    model = LINEAR["sgd"]()
    handlers = imported("sklearn", "sklearn_handlers")
    np.testing.assert_array_equal(handlers.predict_fn(FEATURES, model), model.predict(FEATURES))
    for _ in range(20):
        model.partial_fit(FEATURES, np.zeros(len(LABELS), int))
    assert set(handlers.predict_fn(FEATURES, model)) == {0}
    other = LINEAR["names"]()
    np.testing.assert_array_equal(handlers.predict_fn(FEATURES, other), other.predict(FEATURES))


def test_default_handlers_ask_only_the_arithmetic() -> None:
    """Of a table in which scikit-learn's checks would find nothing: none of its functions is called."""
    handlers = imported("sklearn", "sklearn_handlers")
    model = LINEAR["scaled"]()
    handlers.predict_fn(FEATURES, model)
    assert calls_of_scikit_learn(lambda: handlers.predict_fn(FEATURES, model)) == 0
    assert calls_of_scikit_learn(lambda: handlers.predict_fn(FEATURES.astype(np.float32), model)) > 10


class Counting(BaseEstimator):  # type: ignore[misc]
    """Predicts how many jobs it would start."""

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    def fit(self, _rows: Any, _labels: Any) -> Any:
        self.fitted_ = True
        return self

    def predict(self, _rows: Any) -> Any:
        return joblib.effective_n_jobs(self.n_jobs)


@pytest.mark.parametrize(("workers", "jobs"), [(1000, 1), (0, 3)])
def test_threads_are_not_started_where_each_cpu_has_a_worker(workers: int, jobs: int, monkeypatch: Any) -> None:
    handlers = imported("sklearn", "sklearn_handlers")
    monkeypatch.setenv("SAGEMAKER_MODEL_SERVER_WORKERS", str(workers))
    assert handlers.predict_fn(FEATURES, Counting(n_jobs=3)) == jobs
    assert handlers.predict_fn(FEATURES, make_pipeline(Counting(n_jobs=3)).fit(FEATURES, LABELS)) == jobs
    assert handlers.predict_fn(FEATURES, Counting()) == 1


def calls_of_scikit_learn(call: Callable[[], Any]) -> int:
    names = []

    def profile(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and str(frame.f_globals.get("__name__")).startswith("sklearn."):
            names.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len(names)
