"""What the loop counts of itself."""

from __future__ import annotations

import pytest

from sagespec.causes import Cause, Reason
from sagespec.events import Event, EventKind
from sagespec.monitoring.loop_counts import LoopCounts
from sagespec.plan import Plan, StartGateway
from sagespec.state.addresses import GATEWAY


def plan(reason: Reason) -> Event:
    return Event(EventKind.PLANNED, plan=Plan((StartGateway(about=GATEWAY, cause=Cause(reason)),)))


def end(kind: EventKind) -> Event:
    return Event(kind, "gateway", action="start-gateway")


def test_looks_and_passes_are_counted_by_how_they_ended() -> None:
    now = [10.0]
    loop = LoopCounts(lambda: now[0])
    with loop.look():
        pass
    now[0] = 20.0
    with pytest.raises(OSError, match="away"), loop.a_pass():
        raise OSError("away")
    figures = loop.figures()
    assert (dict(figures.looks), dict(figures.passes), figures.succeeded_at) == ({"done": 1}, {"failed": 1}, 10.0)
    assert sum(figures.buckets) == 1


@pytest.mark.parametrize(
    ("reason", "kind", "drift"),
    [
        (Reason.DRIFT, EventKind.FINISHED, 1),
        (Reason.DRIFT, EventKind.FAILED, 0),
        (Reason.CHANGED, EventKind.FINISHED, 0),
    ],
)
def test_drift_counts_once_it_is_repaired(reason: Reason, kind: EventKind, drift: int) -> None:
    loop = LoopCounts()
    for event in (plan(reason), end(kind), end(kind)):
        loop.hear(event)
    assert loop.figures().drift == drift
    assert sum(loop.figures().actions.values()) == 2
