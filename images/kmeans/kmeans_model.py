"""The model of kmeans as it is served: the centers of the clusters in one numpy file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.rows import FloatArray
from toolkit.sparse import Rows, row_of_entries, squared_lengths

FILE_NAME = "kmeans.npz"
BLOCK_NUMBERS = 2**16  # distances at a time; so few stay in the processor's cache
TIE = 1e-12  # relative: centers so nearly as close as the closest count as close


class KMeansModel(Model):
    """`closest_cluster`, counted from 0 and a float as the hosted algorithm has it, and `distance_to_cluster`."""

    absent = None

    def __init__(self, folder: Path) -> None:
        self.centers: FloatArray = arrays.load(folder / FILE_NAME)["centers"]
        self.feature_count = self.centers.shape[1]

    def predict(self, rows: Rows, request: Request) -> Prediction:  # noqa: ARG002
        closest, squares = closest_centers(rows, self.centers)
        return {"closest_cluster": closest.astype(np.float64), "distance_to_cluster": np.sqrt(squares)}


def save(folder: Path, centers: FloatArray) -> None:
    """`centers` has shape (clusters, features)."""
    arrays.save(folder / FILE_NAME, centers=centers)


def closest_centers(rows: Rows, centers: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """The number of each row's closest center, and the square of its distance; (rows,) each.

    The first of several at the same distance. Rounding must not decide: rows halfway between two centers, as rows of
    whole numbers often are, would go to one on this machine and to the other on that.
    """
    parts = [_closest(block, centers) for block in blocks(rows, len(centers))]
    closest = np.concatenate([numbers for numbers, _ in parts]) if parts else np.empty(0, np.int64)
    return closest, np.concatenate([squares for _, squares in parts]) if parts else np.empty(0)


def blocks(rows: Rows, numbers_a_row: int) -> Iterator[Rows]:
    """The rows in blocks that make about `BLOCK_NUMBERS` numbers, at `numbers_a_row`."""
    size = max(1, BLOCK_NUMBERS // numbers_a_row)
    for start in range(0, rows.shape[0], size):
        yield rows[start : start + size]


def _closest(rows: Rows, centers: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    lengths = squared_lengths(centers)
    scores = lengths - 2.0 * (rows @ centers.T)  # the square of the distance, less that of the row's length
    band = TIE * (squared_lengths(rows) + lengths.max())
    closest = (scores <= (scores.min(axis=1) + band)[:, np.newaxis]).argmax(axis=1)
    # Computed again for this one: the scores lose digits close to a center.
    if isinstance(rows, np.ndarray):
        return closest, squared_lengths(rows - centers[closest])
    row_of = row_of_entries(rows)
    beside = centers[closest[row_of], rows.indices]  # the center's numbers beside the row's
    stored = np.bincount(row_of, np.square(rows.data - beside), minlength=rows.shape[0])
    absent = lengths[closest] - np.bincount(row_of, np.square(beside), minlength=rows.shape[0])
    return closest, stored + np.maximum(absent, 0.0)
