"""What is odd about data that can be read, and may be a mistake: notes, for nobody can know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from toolkit.rows import FloatArray

LEAST_ROWS = 10
COPIES = ("~", ".bak", ".orig", ".old", ".copy", ".swp")


def of_files(names: Sequence[str]) -> Iterator[str]:
    """Copies that programs leave beside a file: their rows count twice."""
    for name in names:
        if len(names) > 1 and name.endswith(COPIES):
            yield f"{name} looks like a copy, and its rows count, too"


def of_columns(labels: FloatArray, features: FloatArray) -> Iterator[str]:
    """Of a table whose first column is the label; its rows are those of the files, in their order."""
    if not len(labels):
        return
    first = [labels[0], *features[0]]
    has_numbered_columns = len(first) > 1 and first == list(range(len(first)))
    if has_numbered_columns:
        yield "the first line is 0, 1, 2, …: if pandas wrote it for columns without names, take it out (header=False)"
    rows = labels[has_numbered_columns:]
    if len(rows) >= LEAST_ROWS and np.array_equal(rows, rows[0] + np.arange(len(rows))):
        yield "the label, the first column, counts the rows: if it is an index, take it out"
