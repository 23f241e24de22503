"""`accelerate` of a variant: whether its model is served in another form that predicts faster.

`spec.endpoint` checks it where the program is named, `resolve` where it follows from what trained the model.
"""

from __future__ import annotations

from typing import Literal

Acceleration = Literal["onnx"]

FRAMEWORKS, ALGORITHMS = ("sklearn", "xgboost"), ("xgboost", "lightgbm")
WHAT_TAKES_IT = "framework: sklearn or xgboost, or algorithm: xgboost or lightgbm"


def takes_acceleration(builtin: str) -> bool:
    """Whether what a built-in serves can be turned into ONNX.

    >>> takes_acceleration("sklearn"), takes_acceleration("kmeans")
    (True, False)
    """
    return builtin in FRAMEWORKS or builtin in ALGORITHMS
