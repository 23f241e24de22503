"""The model of randomcutforest as it is served: the nodes of all trees in flat arrays.

A row's score in a tree is what it would add to the tree's complexity: the expected value of one
by its depth, over all random cuts with which it could be inserted. No tree is changed by it. Cuts
and insertion: Guha, Mishra, Roy, Schrijvers, "Robust Random Cut Forest Based Anomaly Detection on
Streams" (ICML 2016); the score of a place as in AWS's open random cut forest, where a usual row
has about 1 or less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.rows import FloatArray

FILE_NAME = "forest.npz"
CHUNK_BYTES = 64 * 2**20

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Forest:
    """Trees whose nodes lie in the arrays one after the other; a leaf has no children (-1).

    roots (trees,) are indices of nodes. For each node: the children; which feature is cut where (rows
    up to the value go left); mass, the sample's rows below it; the box around them as lows and
    highs, of shape (nodes, features). A leaf's box is its point.
    """

    roots: Numbers
    left: Numbers
    right: Numbers
    cut_features: Numbers
    cut_values: FloatArray
    masses: Numbers
    lows: Floats
    highs: Floats

    @classmethod
    def load(cls, folder: Path) -> Forest:
        return cls(**arrays.load(folder / FILE_NAME))

    def save(self, folder: Path) -> None:
        arrays.save_fields(folder / FILE_NAME, self)

    def scores(self, rows: FloatArray) -> FloatArray:
        """Anomaly scores, shape (rows,); the higher, the stranger."""
        chunk = max(1, CHUNK_BYTES // (16 * len(self.roots) * self.lows.shape[1]))
        narrow = rows.astype(np.float32)
        parts = [self._scores(narrow[start : start + chunk]) for start in range(0, len(rows), chunk)]
        return np.concatenate([np.empty(0), *parts])

    def _scores(self, rows: Floats) -> FloatArray:
        """All rows go down all trees at once, a level a turn."""
        tree_count = len(self.roots)
        pairs = np.arange(len(rows) * tree_count)  # of a row and a tree
        nodes = np.tile(self.roots, len(rows))
        tree_masses = self.masses[nodes]
        scores = np.zeros(len(pairs))
        chances = np.ones(len(pairs))  # that no cut above has parted the row from the box
        depth = 0
        while len(pairs):
            points = rows[pairs // tree_count]
            lows, highs = self.lows[nodes], self.highs[nodes]
            outside = (np.maximum(lows - points, 0) + np.maximum(points - highs, 0)).sum(axis=1, dtype=np.float64)
            inside = (highs - lows).sum(axis=1, dtype=np.float64)
            parted = np.divide(outside, outside + inside, out=np.zeros(len(pairs)), where=outside > 0)
            scores[pairs] += chances * parted / (depth + 1)
            chances *= 1.0 - parted

            is_leaf = self.left[nodes] < 0
            met, masses = pairs[is_leaf], self.masses[nodes[is_leaf]]
            # The row is the leaf's point: the more of the sample are there, the less strange it is.
            seen = (1.0 - masses / (2.0 * tree_masses[met])) / (depth + np.log2(masses + 1.0))
            scores[met] += chances[is_leaf] * seen

            go_on = ~is_leaf & (chances > 0)
            pairs, nodes, chances, points = pairs[go_on], nodes[go_on], chances[go_on], points[go_on]
            goes_left = points[np.arange(len(pairs)), self.cut_features[nodes]] <= self.cut_values[nodes]
            nodes = np.where(goes_left, self.left[nodes], self.right[nodes])
            depth += 1
        normal = scores * np.log2(tree_masses + 1.0)
        means: FloatArray = normal.reshape(len(rows), tree_count).mean(axis=1)
        return means


class RandomCutForest(Model):
    """One column `score`, in JSON as `{"scores": [{"score": ...}]}`."""

    json_name = "scores"

    def __init__(self, folder: Path) -> None:
        self.forest = Forest.load(folder)
        self.feature_count = self.forest.lows.shape[1]

    def predict(self, rows: FloatArray, request: Request) -> Prediction:  # noqa: ARG002
        return {"score": self.forest.scores(rows)}
