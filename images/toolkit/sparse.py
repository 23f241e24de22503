"""Sparse rows that stay sparse: when that is worth it, and what is done alike for dense and sparse rows.

scipy is slow to import, and is loaded only where there are sparse rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.limits import TooLarge, require_room
from toolkit.rows import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from toolkit.data import Table

Rows: TypeAlias = "FloatArray | csr_array"

COPIES = 2  # of the rows, while an algorithm computes with them
FULL = 0.25  # the share of entries from which on dense rows are as small, and faster


def thinned(hosts: Hosts, tables: Mapping[str, Table]) -> dict[str, Table]:
    """Tables whose sparse features stay sparse only where few entries are not zero, on all hosts alike."""
    return {name: replace(table, features=_thinned(hosts, table.features)) for name, table in tables.items()}


def _thinned(hosts: Hosts, rows: Rows) -> Rows:
    sparse = None if isinstance(rows, np.ndarray) else rows  # a host without rows has a dense array
    if not hosts.any(sparse is not None):
        return rows
    entries = sparse.nnz if sparse is not None else 0
    all_entries, all_numbers = hosts.sum(np.array([entries, rows.shape[0] * rows.shape[1]], np.float64))
    if all_entries >= FULL * all_numbers:
        return rows if sparse is None else sparse.toarray()
    return as_sparse(rows)


def require_memory(byte_count: int, what: str, fix: str = "") -> None:
    """Raise ClientError if `byte_count` is more than may be used here; `what` says of what, `fix` what else helps."""
    try:
        require_room(byte_count, what)
    except TooLarge as error:
        others = f", or {fix}" if fix else ""
        raise ClientError(f"{error}; raise resources.memory, map the features to fewer{others}") from error


def require_memory_for_dense(row_count: int, width: int) -> None:
    """Raise ClientError if sparse rows cannot be made dense, and a copy be made of them, in the memory there is."""
    what = f"{row_count} sparse rows of {width} features, which this algorithm makes dense,"
    require_memory(COPIES * 8 * row_count * width, what, "train on fewer rows")


def as_sparse(rows: Rows) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array(rows) if isinstance(rows, np.ndarray) else rows


def dense(rows: Rows) -> FloatArray:
    array: FloatArray = rows if isinstance(rows, np.ndarray) else rows.toarray()
    return array


def row_of_entries(rows: csr_array) -> NDArray[np.int64]:
    """The number of each entry's row."""
    return np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))


def squared_lengths(rows: Rows) -> FloatArray:
    """The square of each row's length, shape (rows,)."""
    if isinstance(rows, np.ndarray):
        squares: FloatArray = np.einsum("ij,ij->i", rows, rows)
        return squares
    return np.bincount(row_of_entries(rows), np.square(rows.data), minlength=rows.shape[0]).astype(np.float64)


def gathered_rows(hosts: Hosts, rows: Rows) -> Rows:
    """The rows of all hosts, one host after the other."""
    if isinstance(rows, np.ndarray):
        return hosts.gathered(rows)
    if len(hosts.names) == 1:
        return rows
    columns = hosts.gathered(rows.indices.astype(np.float64)).astype(np.int64)
    lengths = hosts.gathered(np.diff(rows.indptr).astype(np.float64)).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    from scipy.sparse import csr_array

    return csr_array((hosts.gathered(rows.data), columns, starts), shape=(len(lengths), rows.shape[1]))
