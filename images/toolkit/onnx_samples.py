"""Rows to check a form with, made from what the model itself knows: the thresholds of its trees, and the numbers next
to them, the means and ranges of its scalers, its support vectors, its categories.

A row takes a value for each feature, most of them at random from what is known of it, so that both sides of the
thresholds are met in many combinations. The same model always gets the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

ROWS = 1000
MOST_VALUES = 4000  # that are kept of a feature's
SEED = 1212


def matrix(model: Any, width: int, rows: int = ROWS) -> Any:
    """Float64 rows of numbers for a model of scikit-learn, XGBoost or LightGBM, all finite."""
    generator = np.random.default_rng(SEED)
    parts = [_of(model, width, generator, rows)]
    with suppress(Exception):  # a step that cannot be turned round, of whatever library
        parts.append(_before_the_last(model, generator, rows))
    found = np.concatenate(parts)
    chosen = np.sort(generator.permutation(len(found))[:rows])
    return np.nan_to_num(found[chosen], nan=0.0, posinf=0.0, neginf=0.0)


def _of(model: Any, width: int, generator: np.random.Generator, rows: int) -> Any:
    known = by_feature(model)
    columns = [_column(known.get(feature, ()), generator, rows) for feature in range(width)]
    return np.column_stack(columns) if columns else np.zeros((rows, 0))


def _column(known: Any, generator: np.random.Generator, rows: int) -> Any:
    """Known values and their neighbours in both widths of numbers, and a tenth of anything."""
    anything = generator.standard_normal(rows) * 10.0 ** generator.uniform(-2, 2.5, rows)
    values = np.unique(np.asarray(known, np.float64))
    values = values[np.isfinite(values)]
    if not len(values):
        return anything
    values = values[np.sort(generator.permutation(len(values))[:MOST_VALUES])]
    spread = float(np.std(values)) or max(abs(float(values[0])), 1.0)
    chosen = generator.choice(values, rows)
    narrow = chosen.astype(np.float32)
    near = [
        chosen,
        np.nextafter(chosen, np.inf),
        np.nextafter(chosen, -np.inf),
        np.nextafter(narrow, np.float32(np.inf)).astype(np.float64),
        np.nextafter(narrow, np.float32(-np.inf)).astype(np.float64),
        chosen + generator.standard_normal(rows) * spread,
        np.round(chosen),
        anything,
    ]
    which = generator.choice(len(near), rows, p=[0.2, 0.1, 0.1, 0.1, 0.1, 0.25, 0.1, 0.05])
    return np.choose(which, near)


def _before_the_last(model: Any, generator: np.random.Generator, rows: int) -> Any:
    """Rows that the steps of a pipeline turn into such as its last one knows."""
    *before, (_, last) = model.steps
    found = _of(last, int(last.n_features_in_), generator, rows)
    for _, step in reversed(before):
        if step not in (None, "passthrough"):
            found = step.inverse_transform(found)
    return np.asarray(found, np.float64)


def by_feature(model: Any) -> dict[int, Any]:
    """All known values of each feature in one array."""
    found: dict[int, list[Any]] = {}
    for feature, values in known_values(model):
        found.setdefault(feature, []).append(np.asarray(values, np.float64).ravel())
    return {feature: np.concatenate(values) for feature, values in found.items()}


def known_values(model: Any) -> Iterator[tuple[int, Any]]:
    """Pairs of a feature's number and values of it, for all that is in `model` and takes the model's own features."""
    if hasattr(model, "steps"):
        for _, step in model.steps:
            yield from known_values(step)
            if type(step).__name__ != "SimpleImputer":
                return  # behind it, features are others
    elif hasattr(model, "tree_"):
        yield from _of_nodes(model.tree_.feature, model.tree_.threshold)
    elif hasattr(model, "_predictors"):  # of histograms
        for predictor in (one for several in model._predictors for one in several):
            yield from _of_nodes(predictor.nodes["feature_idx"], predictor.nodes["num_threshold"])
    elif hasattr(model, "get_booster") or type(model).__module__.startswith("xgboost"):
        yield from _of_xgboost(model.get_booster() if hasattr(model, "get_booster") else model)
    elif hasattr(model, "booster_") or type(model).__module__.startswith("lightgbm"):
        yield from _of_lightgbm(model.booster_ if hasattr(model, "booster_") else model)
    else:
        for inner in np.ravel(np.asarray(getattr(model, "estimators_", []), object)):
            yield from known_values(inner)
        yield from _of_attributes(model)


def _of_nodes(features: Any, thresholds: Any) -> Iterator[tuple[int, Any]]:
    for feature in np.unique(features[features >= 0]):
        yield int(feature), thresholds[features == feature]


def _of_xgboost(booster: Any) -> Iterator[tuple[int, Any]]:
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    for tree in learner["gradient_booster"].get("model", {}).get("trees", []):
        features, left = np.array(tree["split_indices"]), np.array(tree["left_children"])
        is_split = left >= 0
        conditions = np.array(tree["split_conditions"], np.float64)
        yield from _of_nodes(np.where(is_split, features, -1), conditions)


def _of_lightgbm(booster: Any) -> Iterator[tuple[int, Any]]:
    pending = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while pending:
        node = pending.pop()
        if "split_feature" not in node:
            continue
        pending += [node["left_child"], node["right_child"]]
        if isinstance(node["threshold"], float):
            yield node["split_feature"], [node["threshold"]]


def _of_attributes(model: Any) -> Iterator[tuple[int, Any]]:
    """Of scalers, imputers, neighbours, support vectors, categories and centers."""
    spread = getattr(model, "scale_", None)
    found = [getattr(model, name, None) for name in ("mean_", "center_", "theta_")]
    for centers in (center for center in found if center is not None):
        for center in np.atleast_2d(np.asarray(centers)):
            step = spread if spread is not None and np.shape(spread) == center.shape else np.ones_like(center)
            yield from enumerate(np.transpose([center + k * step for k in (-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3)]))
    for name in ("data_min_", "data_max_", "statistics_"):
        values = getattr(model, name, None)
        if values is not None and np.asarray(values).dtype.kind == "f":
            yield from ((feature, [value]) for feature, value in enumerate(values))
    for name in ("_fit_X", "support_vectors_", "cluster_centers_", "means_"):
        rows = getattr(model, name, None)
        if isinstance(rows, np.ndarray) and rows.ndim == 2:
            yield from enumerate(np.transpose(rows))
    for feature, values in enumerate(getattr(model, "categories_", [])):
        if np.asarray(values).dtype.kind in "iuf":
            yield feature, values
    coefficients = getattr(model, "coef_", None)
    if isinstance(coefficients, np.ndarray) and coefficients.ndim <= 2:
        sizes = np.abs(np.atleast_2d(coefficients)).max(axis=0)
        yield from ((i, np.array([-2, -1, -0.3, 0, 0.3, 1, 2]) / size) for i, size in enumerate(sizes) if size > 0)


def with_example(rows: Any, example: Any) -> Any:
    """The rows behind those of an example, where these fit the model, too."""
    with suppress(LookupError, ValueError, TypeError, AttributeError):
        if hasattr(rows, "iloc"):
            import pandas

            known = example[list(rows.columns)].dropna().astype(rows.dtypes.to_dict())
            return pandas.concat([known, rows], ignore_index=True)
        numbers = example.to_numpy() if hasattr(example, "to_numpy") else example
        whole = np.asarray(numbers, np.float64)
        return np.concatenate([whole[np.isfinite(whole).all(axis=1)], rows])
    return rows


def table(columns: Mapping[str, tuple[str, Any]], rows: int = ROWS) -> Any:
    """A DataFrame for a model of named columns: of each its kind in the graph, and the values known of it."""
    import pandas

    generator = np.random.default_rng(SEED)
    made = {}
    for name, (kind, values) in columns.items():
        if kind == "string":
            made[name] = generator.choice(np.array([*values, "another"], object), rows)
        elif kind == "int64":
            made[name] = generator.choice(np.array([*values, 0], np.int64), rows)
        else:
            made[name] = _column(values, generator, rows)
    return pandas.DataFrame(made)
