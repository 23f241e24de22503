"""How a run shows itself to others while it waits: a lease in the store that says what it waits for.

`status` and `stop` read it. Losing it costs nothing, so a store that is away is no fault here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta

from sagespec.errors import WorldError
from sagespec.plan import (
    Action,
    AwaitHealthy,
    AwaitNotebook,
    CopyModel,
    DrainInstance,
    ImportModel,
    Plan,
    RemoveInstance,
    RunJob,
    StartInstance,
)
from sagespec.records.holder import Doing
from sagespec.records.lease import Lease
from sagespec.records.leases import Leases

QUIET = timedelta(seconds=5)  # where nothing but the times has changed, so long at least between two writes


class Presence:
    """The lease of one run, from the first time it has something to say."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._lease: Lease | None = None
        self._said = Doing()

    def say(self, doing: Doing, leases: Leases) -> None:
        """What it waits for is said at once when that changes, the times every few seconds, and all of it with each
        renewal of the lease."""
        with suppress(WorldError):
            if self._lease is None or self._lease.lost.is_set():
                self._lease = self._held.enter_context(leases.announce(doing))
            else:
                self._lease.carry(doing=doing)
                if not (self._lease.is_fresh and _is_news(doing, self._said)):
                    return
                self._lease.renew()
            self._said = doing

    def leave(self) -> None:
        lease, self._lease = self._lease, None
        with suppress(WorldError):
            self._held.close()
            if lease:
                lease.delete()


def _is_news(doing: Doing, said: Doing) -> bool:
    if (doing.waits_for, doing.queued) != (said.waits_for, said.queued):
        return True
    now, before = _moment(doing), _moment(said)
    return now is not None and (before is None or abs(now - before) >= QUIET)


def _moment(doing: Doing) -> datetime | None:
    return doing.looks_again_at or doing.last_pass_at


def waited_for(followed: Iterable[Action], plan: Plan, *, has_rollouts: bool) -> tuple[str, ...]:
    """What a run waits for. followed: what its tasks do. has_rollouts: whether it sees them to their end."""
    tasks = [_end_of(action) for action in followed]
    others = [f"{other.about} to end, {other}" for other in plan.running if other.is_needed]
    rollouts = [f"{one.about}, step {one.step} of {one.steps}" for one in plan.rolling if has_rollouts]
    return tuple(sorted((*tasks, *others, *rollouts)))


def _end_of(action: Action) -> str:
    """What is waited for until the task of an action has ended."""
    match action:
        case RunJob():
            return f"{action.about} to end"
        case AwaitHealthy():
            return f"{action.about} to be healthy"
        case AwaitNotebook():
            return f"{action.about} to answer"
        case DrainInstance():
            return f"the last requests of {action.about}"
        case RemoveInstance():
            return f"{action.about} to end"
        case StartInstance() | CopyModel() | ImportModel():
            return f"the model of {action.about}"
        case _:
            return f"the image of {action.about}"
