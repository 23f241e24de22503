"""Means and variances of columns over the rows of all hosts."""

from __future__ import annotations

import numpy as np

from toolkit.hosts import Hosts
from toolkit.rows import FloatArray


def means_of(hosts: Hosts, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The number of rows, shape (1,), and the mean of each column."""
    count = hosts.sum(np.array([float(len(rows))]))
    return count, hosts.sum(rows.sum(axis=0)) / count


def moments_of(hosts: Hosts, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mean and the variance of each column."""
    count, means = means_of(hosts, rows)
    return means, hosts.sum(np.square(rows - means).sum(axis=0)) / count
