"""Which tests are of the cluster, told from their ids alone: whoever hands them out to workers knows no more of them.

What is not of the cluster is handed out one by one, wherever it stands.
"""

from __future__ import annotations

import functools
from pathlib import Path

CLUSTER = "swarm"  # a parameter of tests that are there for each engine
_MARK = f"mark.{CLUSTER}"
_REPOSITORY = Path(__file__).parents[2]


def is_of_cluster(nodeid: str) -> bool:
    """Whether it has the parameter, or stands in a file with the mark."""
    file, _, name = nodeid.partition("::")
    parameters = name.partition("[")[2].rstrip("]").split("-")
    return CLUSTER in parameters or _has_mark(file)


@functools.cache
def _has_mark(file: str) -> bool:
    return _MARK in (_REPOSITORY / file).read_text()
