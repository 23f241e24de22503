"""What is odd about data that can be read, and may be a mistake: notes, for nobody can know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from toolkit.rows import FloatArray

LEAST_ROWS = 10
MOST_CLASSES = 20
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
    if len(first) > 1 and first == list(range(len(first))):
        yield "the first line is 0, 1, 2, …: if pandas wrote it for columns without names, take it out (header=False)"
    if len(labels) < LEAST_ROWS:
        return
    counted = labels[1:] if first == list(range(len(first))) else labels
    if np.array_equal(counted, counted[0] + np.arange(len(counted))):
        yield "the label, the first column, counts the rows: if it is an index, take it out"
    elif features.shape[1] and _are_classes(features[:, -1]) and not _are_classes(labels):
        yield "the label is the first column, and has no classes, as the last one has: if that is the label, move it"


def _are_classes(values: FloatArray) -> bool:
    """Whether these are some of a few whole numbers from 0 on, and more than one."""
    sample = values[:10_000]
    if not (sample.min() >= 0 and sample.max() < MOST_CLASSES):
        return False
    return bool((sample == np.floor(sample)).all() and sample.min() < sample.max())
