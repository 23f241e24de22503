"""What happened, as data: made by `converge`, `apply` and what they call, shown by `show`, not kept.

An `Event` is reported while work is under way; an `Outcome` is how one action ended. A `Caller` gets the events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sagespec.masking import masked
from sagespec.state.faults import Fault, FaultKind

if TYPE_CHECKING:
    from sagespec.ongoing import Rolling
    from sagespec.plan import Plan


class EventKind(StrEnum):
    RUNTIME = "runtime"  # which engine, and why
    LOCK = "lock"  # waiting for another apply, or taking over from a dead one
    PLANNED = "planned"  # a pass begins with this plan
    STARTED = "started"  # an action began
    PROGRESS = "progress"  # an action has got further: `done` of `total`, in `unit`
    LOG = "log"  # a line a job's container printed
    FINISHED = "finished"  # an action ended well
    FAILED = "failed"
    SKIPPED = "skipped"  # not started, because something it waits for was not done, or on Ctrl-C
    ROLLING = "rolling"  # how far a rollout is: told at each look
    HELD = "held"  # a commit of a followed branch is not applied, and why
    NOTE = "note"
    SETTLED = "settled"  # everything is up to date, or has failed


ENDS = frozenset({EventKind.FINISHED, EventKind.FAILED, EventKind.SKIPPED})  # their `done` is in seconds


@dataclass(frozen=True)
class Event:
    """about: an address as text ("" if none). done/total: for PROGRESS, in `unit` (bytes, files, rounds).

    plan: of PLANNED, whose JSON has its text. rolling: of ROLLING. waits_for: of SKIPPED, the verb and address of the
    action that was not done.
    """

    kind: EventKind
    about: str = ""
    text: str = ""
    action: str = ""  # verb of the action, where one is concerned
    at: datetime | None = None
    done: float | None = None
    total: float | None = None
    unit: str = ""
    plan: Plan | None = None
    waits_for: str = ""
    rolling: Rolling | None = None

    def __post_init__(self) -> None:
        """Whatever becomes of it, no secret leaves with it."""
        if (seen := masked(self.text)) != self.text:
            object.__setattr__(self, "text", seen)

    def __str__(self) -> str:
        """One line for people, or several: what `report=print` shows."""
        if self.kind is EventKind.LOG:
            return f"{self.about} | {self.text}"
        amount = "" if self.done is None else f"{self.done:g}" + (f" of {self.total:g}" if self.total else "")
        took = f"{amount} s" if self.kind in ENDS else f"{amount} {self.unit}".rstrip()
        said = (self.plan.text() or "nothing to do") if self.plan else self.text or ("" if self.action else "done")
        head = " ".join(part for part in (self.action, self.about, took if amount else "") if part)
        between = "\n" if self.plan else ": " if head and said else ""
        return f"{self.kind.value:<9} {head}{between}{said}".rstrip()

    def as_json(self) -> dict[str, object]:
        """The stable JSON form; fields that say nothing are left out."""
        values: dict[str, object] = {
            "event": self.kind.value,
            "about": self.about,
            "action": self.action,
            "text": self.plan.text() if self.plan else self.text,
            "at": self.at.isoformat() if self.at else None,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "rollout": self.rolling.as_json() if self.rolling else None,
        }
        return {name: value for name, value in values.items() if value not in ("", None)}


Report = Callable[[Event], None]


class Result(StrEnum):
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Outcome:
    """How one action ended. `reason` says why, for all but DONE; seconds is how long it took.

    waits_for: verb and address of the action without which a SKIPPED one could not begin.
    """

    action_id: str
    about: str
    verb: str
    result: Result
    reason: str = ""
    seconds: float = 0.0
    waits_for: str = ""

    def __post_init__(self) -> None:
        if (seen := masked(self.reason)) != self.reason:
            object.__setattr__(self, "reason", seen)

    @property
    def was_stopped(self) -> bool:
        """Whether a person has stopped the job; it counts as failed, since there is no model."""
        return self.result is Result.FAILED and says_stopped(self.reason)

    def as_json(self) -> dict[str, object]:
        return {
            "action": self.verb,
            "about": self.about,
            "result": self.result.value,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }


def says_stopped(reason: str) -> bool:
    fault = Fault.read(reason)
    return fault is not None and fault.kind is FaultKind.STOPPED


def silent(_event: Event) -> None:
    """A report that shows nothing."""


class ByteCounter:
    """Reports how many bytes of a total have moved; may be called from many threads.

    event: what is reported, without the numbers.
    """

    def __init__(self, report: Report, event: Event) -> None:
        self._report, self._event = report, replace(event, unit="bytes")
        self._lock = threading.Lock()
        self._done = self._total = 0

    def begin(self, total: int) -> None:
        """Count from 0."""
        self._done, self._total = 0, total

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._report(replace(self._event, done=self._done, total=self._total))


def _go_ahead() -> None:
    """A guard that guards nothing."""


@dataclass(frozen=True)
class Caller:
    """Whoever asked for work, as the work sees them.

    report: takes each event. cancelled: set when they want it to end soon; what runs keeps running. guard: raises
    WorldError when the lock under which the work is done is lost.
    """

    report: Report = silent
    cancelled: threading.Event = field(default_factory=threading.Event)
    guard: Callable[[], None] = _go_ahead
