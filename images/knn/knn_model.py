"""The model of knn as it is served: sampled points with their labels, searched one by one.

The search is exact. On the few thousand to few hundred thousand points that a sample has, one
matrix product is as fast as an index, and there is nothing to tune.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.rows import FloatArray
from toolkit.sparse import Rows, as_sparse, dense, row_of_entries, squared_lengths

FILE_NAME = "knn.npz"
SPARSE_COLUMNS, SPARSE_STARTS, SPARSE_SHAPE = "point_columns", "point_starts", "point_shape"
CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Index:
    """What is searched: points of shape (points, width) with labels (points,), and how.

    Rows are multiplied by `projection`, of shape (features, width), before the search; width 0 means no projection.
    """

    k: int
    is_classifier: bool
    metric: str
    projection: FloatArray
    points: Rows
    labels: FloatArray

    @classmethod
    def load(cls, folder: Path) -> Index:
        given = arrays.load(folder / FILE_NAME)
        if (shape := given.pop(SPARSE_SHAPE, None)) is not None:
            from scipy.sparse import csr_array

            parts = (given["points"], given.pop(SPARSE_COLUMNS), given.pop(SPARSE_STARTS))
            given["points"] = csr_array(parts, shape=tuple(shape))
        return cls(**given)

    def save(self, folder: Path) -> None:
        """Of sparse points, `points` are the entries."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        if not isinstance(self.points, np.ndarray):
            points = self.points
            values |= {"points": points.data, SPARSE_COLUMNS: points.indices, SPARSE_STARTS: points.indptr}
            values[SPARSE_SHAPE] = points.shape
        arrays.save(folder / FILE_NAME, **values)

    @cached_property
    def squares(self) -> FloatArray:
        """The points' squared lengths, shape (points,)."""
        return squared_lengths(self.points)

    def placed(self, rows: Rows) -> Rows:
        """Raw rows, projected and scaled as the points were, and sparse if they are."""
        if self.projection.size:
            rows = rows @ self.projection
        elif isinstance(self.points, np.ndarray):
            rows = dense(rows)
        else:
            rows = as_sparse(rows)
        return unit_length(rows) if self.metric == "COSINE" else rows

    def search(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Labels of the k best points, best first, and their distances; (rows, k) each.

        With INNER_PRODUCT and COSINE the distances are similarities, the largest first.
        """
        count, width = self.points.shape
        chunk = max(1, CHUNK_BYTES // (8 * max(count, self.k * width if isinstance(self.points, np.ndarray) else 0)))
        parts = [self._search(rows[start : start + chunk]) for start in range(0, rows.shape[0], chunk)]
        places, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self.labels[places], distances

    def _search(self, rows: Rows) -> tuple[NDArray[np.int64], FloatArray]:
        rows = self.placed(rows)
        products = dense(rows @ self.points.T)
        badness = self.squares - 2.0 * products if self.metric == "L2" else -products
        places = np.argpartition(badness, self.k - 1, axis=1)[:, : self.k]
        if self.metric == "L2":
            # Computed again for these few: the products lose digits where points are close together.
            row_of = np.repeat(np.arange(rows.shape[0]), self.k)
            values = np.sqrt(squared_lengths(self.points[places.ravel()] - rows[row_of])).reshape(places.shape)
        else:
            values = np.take_along_axis(products, places, axis=1)
        order = np.argsort(values if self.metric == "L2" else -values, axis=1, kind="stable")
        return np.take_along_axis(places, order, axis=1), np.take_along_axis(values, order, axis=1)

    def decide(self, labels: FloatArray) -> FloatArray:
        """The label of each row, from those of its neighbours: (rows, k) to (rows,)."""
        return majority(labels) if self.is_classifier else labels.mean(axis=1)


class NearestNeighbours(Model):
    """`predicted_label`; with `Accept: ...; verbose=true` also `distances` and `labels`, the nearest first."""

    absent = None

    def __init__(self, folder: Path) -> None:
        self.index = Index.load(folder)
        self.feature_count = (self.index.projection.T if self.index.projection.size else self.index.points).shape[1]

    def predict(self, rows: Rows, request: Request) -> Prediction:
        labels, distances = self.index.search(rows)
        prediction = {"predicted_label": self.index.decide(labels)}
        if request.accept.parameters.get("verbose", "").lower() != "true":
            return prediction
        return prediction | {"distances": distances, "labels": labels}


def unit_length(rows: Rows) -> Rows:
    """Each row divided by its length; a row of zeros stays."""
    lengths = np.sqrt(squared_lengths(rows))
    divisors = np.where(lengths == 0, 1.0, lengths)
    if isinstance(rows, np.ndarray):
        unit: FloatArray = rows / divisors[:, np.newaxis]
        return unit
    rows = rows.copy()
    rows.data /= divisors[row_of_entries(rows)]
    return rows


def majority(labels: FloatArray) -> FloatArray:
    """The label most of a row's neighbours have, the smallest of several; (rows, k) to (rows,)."""
    classes, codes = np.unique(labels, return_inverse=True)
    places = np.arange(len(labels))[:, np.newaxis] * len(classes) + codes.reshape(labels.shape)
    counts = np.bincount(places.ravel(), minlength=len(labels) * len(classes))
    most: FloatArray = classes[counts.reshape(len(labels), len(classes)).argmax(axis=1)]
    return most
