"""The last look before a model is saved: one whose numbers or final metrics are not finite never is.

Readers refuse inf and empty fields. What is finite there can still overflow on the way (a square of 1e200), a library
may return NaN for rows that it cannot use, and a model of NaN would be served: its answers are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.hosts import Hosts
from toolkit.rows import FloatArray

if TYPE_CHECKING:
    from toolkit.data import Table

LARGE = 1e15  # numbers from here on are likely the cause
DIVERGED = "training diverged; scale the features to about -1 to 1, and look for extreme hyperparameters"
OVERFLOWS = (OverflowError, FloatingPointError, np.linalg.LinAlgError)  # what libraries raise where numbers overflow


def require_finite(
    hosts: Hosts, parts: Mapping[str, Any], tables: Mapping[str, Table] | None = None, *, likely: str = DIVERGED
) -> None:
    """Raise ClientError on all hosts if an array or number among `parts` holds inf or NaN on one of them.

    `parts` are named as the message shall call them: `weights`, `validation mse`. `likely` says why, and what to do;
    unless `tables`, the rows of this job, hold very large numbers.
    """
    found = next((problem for name, part in parts.items() if (problem := _problem(name, part))), None)
    if hosts.any(found is not None):
        cause = _large_number(hosts, tables or {}) or likely
        hosts.fail_together(found and f"no model is saved: {found}; {cause}")


def _problem(name: str, part: Any) -> str | None:
    numbers = np.asarray(part, np.float64)
    strange = numbers.size - np.count_nonzero(np.isfinite(numbers))
    if not strange:
        return None
    return f"{strange} of {numbers.size} {name} are inf or NaN" if numbers.ndim else f"{name} is {numbers:g}"


def _large_number(hosts: Hosts, tables: Mapping[str, Table]) -> str | None:
    """Where the largest number of all hosts' rows is, if it is so large that it may be the cause."""
    found = []
    for channel, table in tables.items():
        labels = hosts.gathered(np.abs(table.labels).max(initial=0.0, keepdims=True))
        columns = hosts.gathered(_largest_by_column(table)[np.newaxis]).max(axis=0)
        found += [(labels.max(), f"channel {channel} has a label of {labels.max():g}")]
        if columns.size:
            found += [(columns.max(), f"channel {channel} has {columns.max():g} in feature {columns.argmax() + 1}")]
    size, place = max(found, default=(0.0, ""))
    return f"{place}, too large to compute with: scale or clip it" if size >= LARGE else None


def _largest_by_column(table: Table) -> FloatArray:
    rows, columns = table.features.shape
    if not rows:
        return np.zeros(columns)
    largest = abs(table.features).max(axis=0)
    return np.nan_to_num(largest if isinstance(largest, np.ndarray) else largest.toarray().ravel())
