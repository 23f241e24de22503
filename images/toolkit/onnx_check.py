"""Whether a form answers as the model does that it was made of, and how far it is off.

What is allowed: labels are equal, but for rows that the original itself finds tied within 1e-5; probabilities differ by
at most 1e-5; numbers by at most 1e-5 of the answer, or of the standard deviation of the answers where one is near 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

TOLERANCE = 1e-5
SHOWN_ROWS = 3
SHOWN_VALUES = 6


@dataclass(frozen=True)
class Comparison:
    """largest: the largest difference, in units that TOLERANCE is in. count, differences: how many rows are beyond it,
    and some of them for people. tied: how many labels differ that the original finds tied."""

    rows: int
    largest: float
    differences: tuple[str, ...] = ()
    count: int = 0
    tied: int = 0

    @property
    def is_close(self) -> bool:
        return not self.count

    def __str__(self) -> str:
        if self.is_close:
            return f"{self.rows} rows answered alike, the largest difference {self.largest:.1e}"
        return f"{self.count} of {self.rows} sample rows have another answer: {'; '.join(self.differences)}"


def compared(original: Any, given: Any, rows: Any, *, margins: Any = None) -> Comparison:
    """Two arrays of answers. margins: of labels, how far the best class is before the second, by the original."""
    original, given = np.asarray(original), np.asarray(given)
    if original.shape != given.shape or original.dtype != given.dtype:
        what = f"an answer of {given.dtype}{given.shape} instead of {original.dtype}{original.shape}"
        return Comparison(len(original), np.inf, (what,), len(original))
    if original.dtype.kind in "fc":
        return _of_numbers(original, given, rows)
    differ = (original != given).reshape(len(original), -1).any(axis=1)
    is_wrong = differ & (np.abs(margins) > TOLERANCE) if margins is not None else differ
    found = _comparison(original, given, rows, is_wrong.astype(float), is_wrong)
    return replace(found, tied=int(differ.sum() - is_wrong.sum()))


def _of_numbers(original: Any, given: Any, rows: Any) -> Comparison:
    spread = np.nanstd(original) if len(original) > 1 else 0.0
    scale = np.maximum(np.abs(original), spread if spread > 0 else 1e-12)
    with np.errstate(invalid="ignore"):
        off = np.abs(given - original) / scale
    off = np.where((original == given) | (np.isnan(original) & np.isnan(given)), 0.0, off)
    by_row = np.nan_to_num(off, nan=np.inf).reshape(len(original), -1).max(axis=1)
    return _comparison(original, given, rows, by_row, by_row > TOLERANCE)


def compared_probabilities(original: Any, given: Any, rows: Any) -> Comparison:
    original, given = np.asarray(original), np.asarray(given)
    if original.shape != given.shape:
        return Comparison(len(original), np.inf, (f"probabilities of {given.shape}, not {original.shape}",), len(rows))
    by_row = np.nan_to_num(np.abs(original - given), nan=np.inf).reshape(len(original), -1).max(axis=1)
    return _comparison(original, given, rows, by_row, by_row > TOLERANCE)


def margins_of(model: Any, rows: Any) -> Any:
    """How far each row's best class is before its second, by the original; None where it tells neither."""
    if hasattr(model, "predict_proba"):
        scores = model.predict_proba(rows)
    elif hasattr(model, "decision_function"):
        scores = model.decision_function(rows)
    else:
        return None
    if isinstance(scores, list) or scores.ndim > 2:
        return None
    if scores.ndim == 1 or scores.shape[1] < 2:
        return scores.reshape(-1)
    best = np.sort(scores, axis=1)
    return best[:, -1] - best[:, -2]


def _comparison(original: Any, given: Any, rows: Any, by_row: Any, is_wrong: Any) -> Comparison:
    worst = [int(row) for row in np.argsort(-by_row, kind="stable")[:SHOWN_ROWS] if is_wrong[row]]
    said = tuple(f"row {_shown(_row(rows, i))}: {_shown(original[i])}, not {_shown(given[i])}" for i in worst)
    return Comparison(len(original), float(by_row.max(initial=0.0)), said, int(is_wrong.sum()))


def _row(rows: Any, number: int) -> Any:
    return rows.iloc[number].to_numpy() if hasattr(rows, "iloc") else rows[number]


def _shown(values: Any) -> str:
    flat = np.asarray(values).reshape(-1)
    words = [f"{value:.9g}" if isinstance(value, float | np.floating) else str(value) for value in flat[:SHOWN_VALUES]]
    words += ["…"] if len(flat) > SHOWN_VALUES else []
    return f"[{', '.join(words)}]" if np.ndim(values) else words[0]
