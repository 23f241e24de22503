"""How a serving process keeps the memory that one request after the other needs."""

from __future__ import annotations

import ctypes
import gc
import sys

LARGEST_KEPT_BYTES = 4 * 2**20  # a larger piece is given back to the system when it is freed
KEPT_BYTES = 16 * 2**20  # so much is kept in all

# Of mallopt(3) in glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_for_requests() -> None:
    """Bodies come and go all the time: mapping their pages for each costs as much as all the copying.

    What there is by now stays, so the garbage collector need not look through it again.
    """
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
