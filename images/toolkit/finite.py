"""What counts as a number to learn from: finite, and within float32, which SageMaker's algorithms compute in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.rows import FloatArray

BEYOND_FLOAT32 = float.fromhex("0x1.ffffffp127")  # the smallest that float32 rounds to infinity
FEW = 1000  # numbers, of which the sum of squares is known sooner than the least and the greatest


def first_unfit(values: FloatArray, *, allow_missing: bool) -> int | None:
    """Where in the flattened `values` the first stands that is no number to learn from; None if all are."""
    # One that is too large, or no number, makes the sum of squares so: rounded, a sum is never less than a part of it.
    if values.size <= FEW and np.vdot(values, values) < BEYOND_FLOAT32**2:
        return None
    if not values.size or (values.min() > -BEYOND_FLOAT32 and values.max() < BEYOND_FLOAT32):
        return None
    fits: NDArray[np.bool_] = np.abs(values) < BEYOND_FLOAT32
    if allow_missing:
        fits |= np.isnan(values)
    return None if fits.all() else int(np.argmin(fits))


def why_unfit(value: float) -> str:
    """Why it is no number to learn from, to be read after the name of its field."""
    if np.isnan(value):
        return "is empty or NaN"
    if np.isinf(value):
        return f"is {value:g}, not a finite number"
    return f"is {value:g}, which is beyond float32, whose largest number is 3.4e38"
