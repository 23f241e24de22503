"""Why an action is in a plan: the reason, the changed fields behind it, a note for people.

`reconcile` gives each action its cause; `show` prints it. A value that is secret never gets this far.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sagespec.errors import InternalError, Origin
from sagespec.spec.environment import ENVIRONMENTS


class Reason(StrEnum):
    NEW = "new"  # asked for and not there
    CHANGED = "changed"  # a field of the spec changed
    DRIFT = "drift"  # what was applied is not what is there
    ADOPTED = "adopted"  # an earlier run started this; it is picked up where it is
    RETRIED = "retried"  # asked for with --retry
    RESTARTED = "restarted"  # asked for with `sagespec restart`, or its image is gone
    REMOVED = "removed"  # no longer asked for
    ROLLOUT = "rollout"  # a step of one, or its end
    FOLLOWS = "follows"  # needed by another action of this plan


OF_SPECS = frozenset({Reason.NEW, Reason.CHANGED, Reason.REMOVED, Reason.RETRIED})  # the others are about what runs
MASK, ADDED, REMOVED = "changed", "added", "removed"  # in place of a secret value


@dataclass(frozen=True)
class Change:
    """One field of a spec that differs from what is live; `old` is '' for what was not there.

    secret: the values must not be shown, so they are not kept either: `new` is MASK then, ADDED or REMOVED. origin:
    where a spec says it, if it does; people see it where that is an environment's file.
    """

    field: str
    old: str
    new: str
    secret: bool = False
    origin: Origin | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.secret and (self.old or self.new not in (MASK, ADDED, REMOVED)):
            raise InternalError(f"the plan would hold the value of {self.field}, which is secret")

    def __str__(self) -> str:
        said = f"{self.field} {self.old} -> {self.new}" if self.old else f"{self.field} {self.new}"
        is_patched = self.origin is not None and self.origin.file.startswith(f"{ENVIRONMENTS}/")
        return f"{said} ({self.origin})" if is_patched else said

    def as_json(self, *, places: bool = True) -> dict[str, object]:
        """The stable JSON form; file, line and column where a spec says it. places: False without these."""
        said: dict[str, object] = {"field": self.field, "old": self.old, "new": self.new}
        return said | self.origin.as_json() if self.origin and places else said


@dataclass(frozen=True)
class Cause:
    """Why an action is there: the reason, the changed fields behind it, and a note for people.

    callers_moved: the share of callers who get another variant, where they are told apart; None otherwise.
    """

    reason: Reason
    changes: tuple[Change, ...] = ()
    note: str = ""
    callers_moved: float | None = None

    def __str__(self) -> str:
        changes = ", ".join(str(change) for change in self.changes)
        return f"{changes} ({self.note})" if changes and self.note else changes or self.note or self.reason.value

    def as_json(self, *, places: bool = True) -> dict[str, Any]:
        return {
            "reason": self.reason.value,
            "changes": [change.as_json(places=places) for change in self.changes],
            "note": self.note,
            **({} if self.callers_moved is None else {"callers_moved": self.callers_moved}),
        }
