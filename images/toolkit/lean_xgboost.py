"""XGBoost without the libraries it imports only because they are installed.

Its wrappers for scikit-learn and pandas, which no image uses, cost a second of every start. Who
needs one of the two for itself can still import it.
"""

from __future__ import annotations

import sys

hidden = [name for name in ("sklearn", "pandas") if name not in sys.modules]
sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]

import xgboost  # noqa: E402

for name in hidden:
    del sys.modules[name]

__all__ = ["xgboost"]
