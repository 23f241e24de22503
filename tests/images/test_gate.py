"""A model whose numbers or metrics are not finite is never saved, and the failure says in one sentence why."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.images.tables import IMAGES, as_csv

EXTREME = "training diverged; scale the features to about -1 to 1, and look for extreme hyperparameters"
MACHINE = {"feature_dim": 3, "num_factors": 2, "predictor_type": "regressor"}
LINEAR = {"predictor_type": "binary_classifier"}
FOREST = {"feature_dim": 4, "num_trees": 50}


def rows(numbers: Mapping[tuple[int, int], float]) -> Any:
    """A label and three features; some of them are `numbers`, by row and column."""
    table = np.abs(np.random.default_rng(1).normal(size=(60, 4)))
    table[:, 0] = np.arange(60) % 2
    for place, number in numbers.items():
        table[place] = number
    return table


@pytest.mark.parametrize(
    ("image", "settings", "numbers", "reason"),
    [
        (
            "factorization-machines",
            MACHINE | {"linear_init_method": "constant", "linear_init_value": 1e200},
            {},
            f"train mse is inf; {EXTREME}",
        ),
        ("factorization-machines", MACHINE | {"factors_init_sigma": 1e200}, {}, f"train mse is nan; {EXTREME}"),
        ("linear-learner", LINEAR | {"positive_example_weight_mult": 1e308}, {}, f"objective_loss is nan; {EXTREME}"),
        ("linear-learner", LINEAR | {"f_beta": 1e308}, {}, EXTREME),
        (
            "randomcutforest",
            FOREST,
            {(3, 2): 3e38, (5, 2): -3e38},
            "inf or NaN; channel train has 3e+38 in feature 3, too large to compute with: scale or clip it",
        ),
        ("lightgbm", {}, {(3, 0): 2e38}, "channel train: a label of 2e+38; LightGBM cuts at 1e+38: scale it"),
    ],
)
def test_a_model_that_is_not_finite(make_tree: Any, image: str, settings: Any, numbers: Any, reason: str) -> None:
    content_type = "text/csv;label_size=0" if image == "randomcutforest" else "text/csv"
    tree = make_tree(image, settings, {"train": as_csv(rows(numbers))}, content_type=content_type)
    code, printed = tree.train()
    assert code == 1
    assert re.fullmatch(rf"ClientError: .*{re.escape(reason)}\n", tree.failure)
    assert "Warning:" not in printed
    assert list(tree.model.iterdir()) == []


def test_hosts_fail_together_and_name_the_number_of_any(make_tree: Any, run_hosts: Any) -> None:
    names = ("algo-1", "algo-2")
    parts = {"algo-1": {}, "algo-2": {(3, 3): 3e38, (5, 3): -3e38}}
    trees = [
        make_tree(
            "randomcutforest",
            FOREST,
            {"train": as_csv(rows(part))},
            content_type="text/csv;label_size=0",
            host=name,
            hosts=names,
        )
        for name, part in parts.items()
    ]
    results = run_hosts(trees)
    assert [code for code, _ in results] == [1, 1]
    assert all("channel train has 3e+38 in feature 4" in tree.failure for tree in trees)


def test_metrics_without_a_value_are_named_and_leave_the_model(make_tree: Any) -> None:
    table = rows({})
    ones = np.column_stack([np.ones(60), table[:, 1:]])
    channels = {"train": as_csv(table), "validation": as_csv(ones)}
    code, printed = make_tree("linear-learner", LINEAR, channels).train()
    assert code == 0
    assert "validation: roc_auc_score is not computed: all rows have the same label" in printed


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_in_any_part_is_enough(monkeypatch: Any, number: float) -> None:
    monkeypatch.syspath_prepend(str(IMAGES))
    gate, hosts, errors = (importlib.import_module(f"toolkit.{name}") for name in ("gate", "hosts", "errors"))
    alone = hosts.Hosts(("algo-1",), "algo-1")
    gate.require_finite(alone, {"weights": np.ones((2, 2)), "loss": 0.5, "factors": np.empty(0)})
    with pytest.raises(
        errors.ClientError, match=r"no model is saved: 1 of 4 weights are inf or NaN; training diverged"
    ):
        gate.require_finite(alone, {"bias": 1.0, "weights": [[1.0, number], [1.0, 1.0]]})
    with pytest.raises(errors.ClientError, match=r"no model is saved: loss is -?(nan|inf); lower the rate"):
        gate.require_finite(alone, {"weights": np.ones(3), "loss": number}, likely="lower the rate")
