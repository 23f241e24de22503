"""What a run repairs: each repair is written down, and what does not stay repaired is repaired less and less often.

Drift alone is slowed down: what the specs ask for is done at once, and what fails has its own pauses (`failures`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sagespec.causes import Reason
from sagespec.drift import drift_ids
from sagespec.errors import SagespecError
from sagespec.events import Event, EventKind, Outcome, Report, Result, silent
from sagespec.plan import Plan, RecordRevision
from sagespec.records.repairs import write_repairs
from sagespec.state.addresses import Address
from sagespec.state.repairs import Flap, Repaired
from sagespec.world import World

WINDOW_SECONDS = 600.0
MANY = 5  # repairs of one thing within that
PAUSES_SECONDS = (60.0, 120.0, 240.0, 480.0, 900.0)  # after one more each; the last one stays
STEADY_SECONDS = WINDOW_SECONDS + PAUSES_SECONDS[-1]  # what has stayed repaired for so long no longer flaps


@dataclass
class _Thing:
    times: list[float] = field(default_factory=list)  # of its repairs, of late
    count: int = 0  # of them all
    pauses: int = 0
    not_before: float = 0.0


class Repairs:
    """slows: whether it leaves what flaps alone for a while. is_wanted: whether drift is repaired at all, as of now.
    monotonic: seconds by a clock of the caller's."""

    def __init__(
        self,
        report: Report = silent,
        *,
        slows: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report, self._slows, self._is_wanted, self._monotonic = report, slows, is_wanted, monotonic
        self._things: dict[str, _Thing] = {}
        self._told: set[str] = set()

    def left(self, plan: Plan) -> set[str]:
        """The ids of actions that are not carried out now. What a change of the specs waits for is never among them."""
        drift = set(drift_ids(plan))
        others = [a for a in plan if not isinstance(a, RecordRevision)]  # a record changes nothing that serves
        if self._is_wanted():
            late = {about for about, thing in self._things.items() if thing.not_before > self._monotonic()}
            left = {a.id for a in others if str(a.about) in late and a.cause.reason is Reason.DRIFT}
        else:
            left = {a.id for a in others if a.id in drift}
        return left - _waited_for(plan, drift) if left else set()

    def tell(self, plan: Plan) -> None:
        """What is left as it is, once, since that is what sagespec.yaml says."""
        drift = frozenset() if self._is_wanted() else frozenset(self.left(plan))
        for action in plan:
            if action.id in drift - self._told and action.cause.reason is Reason.DRIFT:
                text = f"{action.cause}; it is left as it is (drift: report)"
                self._report(Event(EventKind.NOTE, str(action.about), text))
        self._told = set(drift)

    def learn(self, plan: Plan, ended: Iterable[Outcome], world: World) -> None:
        """What was repaired in a pass. A store that is away just now loses the record of it, and nothing else."""
        drift = {action.id: action for action in plan if action.cause.reason is Reason.DRIFT}
        now, by = world.clock.now(), world.leases.by
        done = [drift[one.action_id] for one in ended if one.result is Result.DONE and one.action_id in drift]
        repairs = [Repaired(about=str(a.about), action=a.verb, seen=str(a.cause), by=by, at=now) for a in done]
        for one in repairs:
            self._count(one.about)
        if repairs:
            with suppress(SagespecError, OSError):
                write_repairs(world.records.store, world.records.project_name, repairs, now)

    def _count(self, about: str) -> None:
        now, thing = self._monotonic(), self._things.setdefault(about, _Thing())
        if thing.times and now - thing.times[-1] > STEADY_SECONDS:
            thing = self._things[about] = _Thing()  # it has stayed as it should be
        thing.count += 1
        thing.times = [at for at in thing.times if now - at < WINDOW_SECONDS] + [now]
        if not self._slows or (len(thing.times) < MANY and not thing.pauses):
            return
        pause = PAUSES_SECONDS[min(thing.pauses, len(PAUSES_SECONDS) - 1)]
        if not thing.pauses:
            text = f"repaired {len(thing.times)} times within 10 min: it is repaired less often now"
            self._report(Event(EventKind.NOTE, about, text))
        thing.pauses, thing.not_before = thing.pauses + 1, now + pause

    @property
    def seconds_left(self) -> float:
        """Until the next thing may be repaired that is left alone now; inf if there is none."""
        now = self._monotonic()
        return min((t.not_before - now for t in self._things.values() if t.not_before > now), default=math.inf)

    def flaps(self, at: datetime) -> tuple[Flap, ...]:
        """What is left alone for a while. at: now."""
        now = self._monotonic()
        return tuple(
            Flap(about=about, count=len(thing.times), until=at + timedelta(seconds=round(thing.not_before - now)))
            for about, thing in sorted(self._things.items())
            if thing.not_before > now
        )

    def flapping(self) -> Mapping[str, str]:
        """What does not stay repaired, and has not stayed so for long enough since: by job or endpoint, how often."""
        now, found = self._monotonic(), dict[str, str]()
        for about, thing in sorted(self._things.items()):
            if thing.pauses and now - thing.times[-1] <= STEADY_SECONDS:
                text = f"{about} does not stay repaired: {thing.count} times until now, and less often from here on"
                found.setdefault(str(Address.parse(about).whole), text)
        return found


def _waited_for(plan: Plan, drift: Set[str]) -> set[str]:
    """The ids of all that must be done before what the specs ask for can be."""
    after = {action.id: action.after for action in plan}
    found: set[str] = set()
    ahead = [one for action in plan if action.id not in drift for one in action.after]
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            ahead += after.get(one, ())
    return found
