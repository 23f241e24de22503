"""A model whose numbers or metrics are not finite is never saved, and the failure says in one sentence why."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.images.tables import as_csv

UNLABELLED = ("kmeans", "pca", "randomcutforest", "lda")
SETTINGS: dict[str, dict[str, object]] = {
    "linear-learner": {"predictor_type": "regressor"},
    "kmeans": {"k": 2, "feature_dim": 3},
    "pca": {"num_components": 1, "feature_dim": 3, "mini_batch_size": 10},
    "knn": {"k": 1, "predictor_type": "regressor", "feature_dim": 3, "sample_size": 60},
    "randomcutforest": {"feature_dim": 3, "num_trees": 50},
    "factorization-machines": {"feature_dim": 3, "num_factors": 2, "predictor_type": "regressor"},
    "lightgbm": {"num_boost_round": 2},
    "lda": {"num_topics": 2, "feature_dim": 3, "mini_batch_size": 10, "max_restarts": 1},
}


def rows(large: float, *, column: int) -> Any:
    """A label and three features; one number is `large`."""
    table = np.abs(np.random.default_rng(1).normal(size=(60, 4)))
    table[:, 0] = np.arange(60) % 2
    table[17, column] = large
    return table


@pytest.mark.parametrize(
    ("image", "large", "place"),
    [
        *((image, 1e200, "1e+200 in feature 2") for image in SETTINGS if image not in ("lightgbm", "lda")),
        ("lda", 1e308, "1e+308 in feature 2"),
        ("linear-learner", 1e200, "a label of 1e+200"),
        ("factorization-machines", 1e200, "a label of 1e+200"),
        ("lightgbm", 1e200, "a label of 1e+200"),
    ],
)
def test_numbers_too_large_to_compute_with(make_tree: Any, image: str, large: float, place: str) -> None:
    table = rows(large, column=0 if "label" in place else 2)
    unlabelled = image in UNLABELLED
    tree = make_tree(
        image,
        SETTINGS[image],
        {"train": as_csv(table[:, 1:] if unlabelled else table)},
        content_type="text/csv;label_size=0" if unlabelled else "text/csv",
    )
    code, printed = tree.train()
    assert code == 1
    assert re.fullmatch(rf"ClientError: .*channel train has {re.escape(place)}.*: scale .*\n", tree.failure)
    assert "Warning:" not in printed
    assert list(tree.model.iterdir()) == []


def test_hosts_fail_together_and_name_the_number_of_any(make_tree: Any, run_hosts: Any) -> None:
    names = ("algo-1", "algo-2")
    parts = {"algo-1": rows(1.0, column=2), "algo-2": rows(1e200, column=3)}
    trees = [
        make_tree("linear-learner", {"predictor_type": "regressor"}, {"train": as_csv(part)}, host=name, hosts=names)
        for name, part in parts.items()
    ]
    results = run_hosts(trees)
    assert [code for code, _ in results] == [1, 1]
    assert all("channel train has 1e+200 in feature 3" in tree.failure for tree in trees)


def test_metrics_without_a_value_are_named_and_leave_the_model(make_tree: Any) -> None:
    table = rows(1.0, column=2)
    ones = np.column_stack([np.ones(60), table[:, 1:]])
    tree = make_tree(
        "linear-learner",
        {"predictor_type": "binary_classifier"},
        {"train": as_csv(table), "validation": as_csv(ones)},
    )
    code, printed = tree.train()
    assert code == 0
    assert "validation: roc_auc_score is not computed: all rows have the same label" in printed
