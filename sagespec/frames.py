"""Data frames and arrays, for those who have pandas and NumPy.

Neither is imported to tell whether a value is one: whoever has a frame has imported pandas.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

ROWS_AT_ONCE = 50_000
SEPARATORS_AND_QUOTES = ',;|\t"'


def frame_of(rows: Any, **more: Any) -> Any:
    """A data frame of pandas. ModuleNotFoundError, which says so, where there is none."""
    from pandas import DataFrame

    return DataFrame(rows, **more)


def is_frame(value: object) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def is_other_table(value: object) -> str:
    """The name of the package whose table it is, if it can be turned into a frame; '' for what is no table."""
    package = type(value).__module__.partition(".")[0]
    return package if package != "pandas" and hasattr(value, "to_pandas") else ""


def is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def csv_of(frame: Any, *, header: bool = True) -> Iterator[bytes]:
    """The frame as CSV, some rows at a time: missing values are empty, numbers have all their digits."""
    if header:
        yield (",".join(_quoted(str(name)) for name in frame.columns) + "\n").encode()
    for start in range(0, max(len(frame), 1), ROWS_AT_ONCE):
        text = io.StringIO()
        frame.iloc[start : start + ROWS_AT_ONCE].to_csv(text, index=False, header=False, lineterminator="\n")
        yield text.getvalue().encode()


def _quoted(name: str) -> str:
    """A name as a header line has it: a separator in it, whichever, is not taken for one."""
    return '"' + name.replace('"', '""') + '"' if any(mark in name for mark in SEPARATORS_AND_QUOTES) else name
