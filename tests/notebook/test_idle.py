"""What counts as use of a notebook, from the answers of Jupyter's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagespec.notebook.idle import idle_since

EARLY, LATE = "2026-11-30T08:00:00.000000Z", "2026-11-30T09:00:00.000000Z"
STATUS = {"started": EARLY, "last_activity": EARLY, "kernels": 1, "connections": 0}


def kernel(state: str = "idle", connections: int = 0, last_activity: str = EARLY) -> dict[str, Any]:
    return {"execution_state": state, "connections": connections, "last_activity": last_activity}


def test_a_kernel_that_computes_is_use_and_so_is_a_page_that_is_open() -> None:
    assert idle_since(STATUS, [kernel(), kernel(state="busy")], []) is None
    assert idle_since(STATUS, [kernel(connections=1)], []) is None


def test_the_last_use_is_the_newest_of_requests_kernels_and_terminals() -> None:
    eight, nine = (datetime(2026, 11, 30, hour, tzinfo=UTC) for hour in (8, 9))
    assert idle_since(STATUS, [], []) == eight
    assert idle_since(STATUS, [kernel(last_activity=LATE)], []) == nine
    assert idle_since(STATUS, [kernel()], [{"name": "1", "last_activity": LATE}]) == nine
    assert idle_since(STATUS | {"last_activity": LATE}, [kernel()], []) == nine


def test_a_kernel_that_nobody_has_asked_yet_is_no_use() -> None:
    """Jupyter calls it "starting" until somebody listens."""
    assert idle_since(STATUS, [kernel(state="starting")], []) is not None
