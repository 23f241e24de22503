"""What the columns of a pandas frame are: numbers, text to learn from, or what no algorithm takes.

Called by `channels`. A frame either becomes what the built-in algorithms read the same values from, or is refused with
a sentence on the column and the way out. pandas is never imported here: whoever has a frame has imported it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from sagespec.errors import SpecError

MOST_BYTES = 2**30


def checked(frame: Any, what: str) -> Any:
    """The frame with text for the names of its columns. SpecError for what would be lost or misread."""
    _check_index(frame, what)
    names = [str(name) for name in frame.columns]
    if getattr(frame.columns, "nlevels", 1) > 1:
        fix = "join the levels: frame.columns = ['_'.join(map(str, names)) for names in frame.columns]"
        raise SpecError(f"{what}: its columns have {frame.columns.nlevels} levels of names", fix=fix)
    for name in names:
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise SpecError(f"{what}: a column is called {name!r}", why="its name would not be read back as it is",
                            fix="rename it: frame.rename(columns={…})")  # fmt: skip
        if names.count(name) > 1:
            fix = "drop one, or rename it"
            raise SpecError(f"{what}: {names.count(name)} columns are called {name!r}", fix=fix)
    if not names or not len(frame):
        raise SpecError(f"{what}: it has {len(frame)} rows and {len(names)} columns", fix="give some data")
    return frame.set_axis(names, axis=1)


def _check_index(frame: Any, what: str) -> None:
    """An index of bare numbers, as a selection of rows leaves it, says nothing; any other may be data."""
    index = frame.index
    named = [str(name) for name in index.names if name is not None]
    if not named and index.nlevels == 1 and index.dtype.kind in "iu":
        return
    said = f"{what}: its index ({', '.join(named) or index.dtype}) would be lost"
    raise SpecError(said, fix="frame.reset_index() makes it a column, frame.reset_index(drop=True) removes it")


def text_columns(frame: Any, skip: Sequence[str], what: str) -> list[str]:
    """The columns to be learned from as text, for a built-in algorithm. skip: target and dropped ones.

    SpecError for a column that is neither numbers nor text, all of them at once.
    """
    found: list[str] = []
    wrong: list[str] = []
    for name in frame.columns:
        if name in skip:
            continue
        kind = _kind_of(frame[name])
        if kind == "text":
            found.append(name)
        elif kind != "numbers":
            wrong.append(f"{name} ({kind})")
    if wrong:
        raise SpecError(
            f"{what}: no algorithm learns from {', '.join(wrong)}",
            why="columns are numbers, or text whose values are categories",
            fix=f"leave them out with drop={[name.rpartition(' (')[0] for name in wrong]}, or make numbers of them "
            "first: a date's year, a duration's seconds",
        )
    return found


def _kind_of(column: Any) -> str:
    """numbers, text, or what it is instead."""
    dtype = column.dtype
    if column.isna().all():
        return "values are all missing"
    if hasattr(dtype, "categories"):
        return "text" if _is_plain(dtype.categories) else "categories that are neither text nor numbers"
    if dtype.kind in "biuf":
        return _finite(column)
    if dtype.kind in "mM" or "datetime" in str(dtype) or "period" in str(dtype):
        return "durations" if dtype.kind == "m" else "dates"
    values = [value for value in column.array if not _is_missing(value)]
    if dtype.kind == "O" or "str" in str(dtype):
        return _kind_of_values(values)
    return str(dtype)


def _kind_of_values(values: Sequence[Any]) -> str:
    if all(isinstance(value, Real | Decimal) for value in values):
        is_finite = all(isinstance(value, Decimal) or math.isfinite(value) for value in values)
        return "numbers" if is_finite else "infinite numbers"
    if all(isinstance(value, str | Real) for value in values):
        has_nul = any(isinstance(value, str) and "\0" in value for value in values)
        return "text with NUL characters" if has_nul else "text"
    odd = next(value for value in values if not isinstance(value, str | Real))
    return "dates" if hasattr(odd, "isoformat") else f"values such as a {type(odd).__name__}"


def _finite(column: Any) -> str:
    if column.dtype.kind == "f" and (column.abs() == math.inf).any():
        return "infinite numbers"
    return "numbers"


def _is_plain(categories: Any) -> bool:
    return all(isinstance(value, str | Real) for value in categories)


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    )


class Digest:
    """Takes what is written; knows how much that was, and its name by content."""

    def __init__(self, what: str) -> None:
        self._what, self._sha256, self._bytes = what, hashlib.sha256(), 0

    def take(self, part: bytes) -> None:
        self._sha256.update(part)
        self._bytes += len(part)
        if self._bytes > MOST_BYTES:
            raise SpecError(
                f"{self._what}: it is more than 1 GiB as CSV",
                why="a frame is written out as a file of the project, once for each content",
                fix='write it once yourself, as frame.to_parquet("data/train.parquet", index=False), and give its path',
            )

    @property
    def name(self) -> str:
        return self._sha256.hexdigest()[:12]
