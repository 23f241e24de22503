"""LightGBM without the libraries it imports only because they are installed.

They cost two seconds of every start, and no model here meets them.
"""

from __future__ import annotations

import sys

UNUSED = {"sklearn", "pandas", "matplotlib", "graphviz", "dask", "pyarrow", "polars"} - sys.modules.keys()

sys.modules.update(dict.fromkeys(UNUSED))  # type: ignore[arg-type]
import lightgbm  # noqa: E402

for name in UNUSED:  # others may want them: Parquet channels are read by pyarrow
    del sys.modules[name]

__all__ = ["lightgbm"]
