"""LightGBM without the libraries it imports only because they are installed, and with threads that sleep.

The libraries cost two seconds of every start, and no model here meets them. Threads that wait for
each other spin by default: two hosts on one machine then take a minute for what is done in seconds.
"""

from __future__ import annotations

import os
import sys

UNUSED = {"sklearn", "pandas", "matplotlib", "graphviz", "dask", "pyarrow", "polars"} - sys.modules.keys()

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when LightGBM's library is loaded
sys.modules.update(dict.fromkeys(UNUSED))  # type: ignore[arg-type]
import lightgbm  # noqa: E402

for name in UNUSED:  # others may want them: Parquet channels are read by pyarrow
    del sys.modules[name]

__all__ = ["lightgbm"]
