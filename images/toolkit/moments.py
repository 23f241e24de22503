"""Means and variances of columns over the rows of all hosts."""

from __future__ import annotations

import numpy as np

from toolkit.hosts import Hosts
from toolkit.rows import FloatArray
from toolkit.sparse import Rows


def means_of(hosts: Hosts, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """The number of rows, shape (1,), and the mean of each column."""
    count = hosts.sum(np.array([float(rows.shape[0])]))
    return count, hosts.sum(np.asarray(rows.sum(axis=0))) / count


def moments_of(hosts: Hosts, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """The mean and the variance of each column."""
    count, means = means_of(hosts, rows)
    return means, hosts.sum(_squared_distances(rows, means)) / count


def _squared_distances(rows: Rows, means: FloatArray) -> FloatArray:
    """By column, from the mean; what sparse rows leave out is 0."""
    if isinstance(rows, np.ndarray):
        squares: FloatArray = np.square(rows - means).sum(axis=0)
        return squares
    width = rows.shape[1]
    stored = np.bincount(rows.indices, np.square(rows.data - means[rows.indices]), minlength=width)
    absent = rows.shape[0] - np.bincount(rows.indices, minlength=width)
    distances: FloatArray = stored + absent * np.square(means)
    return distances
