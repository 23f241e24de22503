"""One instance of JSON, in any of the spellings that SageMaker's built-in algorithms know."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.rows import LARGEST_COLUMN, FloatArray


def features_of(instance: Any) -> list[Any] | dict[str, Any]:
    """The row of one JSON instance in any of its spellings: its values, or as a dict those with keys and shape.

    Spellings are `[...]`, `{"features": [...]}` and `{"data": {"features": {"values": [...]}}}`. Raises ValueError.
    """
    features = instance.get("features") if isinstance(instance, dict) else instance
    if features is None and isinstance(instance, dict) and isinstance(instance.get("data"), dict):
        features = instance["data"].get("features")
    if isinstance(features, dict):
        features = features if "keys" in features else features.get("values")
    if not isinstance(features, list | dict):
        raise ValueError('an instance is {"features": [...]} or {"data": {"features": {"values": [...]}}}')
    return features


def numbers_of(values: list[Any]) -> FloatArray:
    """`values` as an array, NaN for null. Raises ValueError for text, which numpy would take for a number: "1_000"."""
    try:
        return np.array(array("d", values))  # which knows neither null nor text
    except TypeError:
        text = next((value for value in values if isinstance(value, str)), None)
        if text is not None:
            raise ValueError(f"{text[:40]!r} is text, not a number") from None
        return np.array(values, np.float64)


def label_of(instance: Any) -> float | None:
    """The label of one JSON instance: `"label": 1` or `"label": {"values": [1]}`, None without. Raises ValueError."""
    if not isinstance(instance, dict):
        return None
    label = instance.get("label")
    if label is None and isinstance(instance.get("data"), dict):
        label = instance["data"].get("label")
    if isinstance(label, dict):
        label = label.get("values")
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if label is not None and not isinstance(label, int | float):
        raise ValueError('a label is one number, as in {"label": 1, "features": [...]}')
    return label


def sparse_entries(features: dict[str, Any]) -> tuple[NDArray[np.int64], FloatArray, int]:
    """Columns, values and width of a sparse JSON instance. Raises ValueError."""
    try:
        columns = np.array(features["keys"], np.int64)
        values = numbers_of(features["values"])
        width = int(features["shape"][-1])
        if columns.shape != values.shape or columns.ndim != 1 or not 0 <= width <= LARGEST_COLUMN:
            raise ValueError
        if len(columns) and not 0 <= columns.min() <= columns.max() < width:
            raise ValueError
        if len(np.unique(columns)) < len(columns):
            raise ValueError
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise ValueError(
            "a sparse instance needs keys, values and shape that fit together, and each key once"
        ) from None
    return columns, values, width
