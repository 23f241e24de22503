"""Samples of the rows of all hosts, which do not depend on how many hosts there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.hosts import Hosts
from toolkit.sparse import Rows, gathered_rows


def draw_rows(hosts: Hosts, rows: Rows, size: int, *, place: tuple[int, int], seed: int | Sequence[int]) -> Rows:
    """`size` of all hosts' rows in their order, the same on every host; all of them if there are no more.

    A row is drawn by its number among the rows of all hosts, host after host. place: `hosts.numbered(row count)`.
    """
    before, total = place
    chosen = np.sort(np.random.default_rng(seed).choice(total, min(size, total), replace=False))
    own = chosen[(chosen >= before) & (chosen < before + rows.shape[0])] - before
    return gathered_rows(hosts, rows[own])
