"""XGBoost without the libraries it imports only because they are installed.

Its wrappers for scikit-learn and pandas, which no image uses, cost a second of every start.
"""

from __future__ import annotations

import sys

for unused in ("sklearn", "pandas"):
    sys.modules.setdefault(unused, None)  # type: ignore[arg-type]

import xgboost  # noqa: E402

__all__ = ["xgboost"]
