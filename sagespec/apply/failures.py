"""What has failed in a run, and when it may be tried again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

LONGEST_PAUSE_SECONDS = 60.0


class Failures:
    """Ids of actions that failed. is_patient: they are tried again, after 2, 4, 8 … 60 s; else never in this run.
    monotonic: seconds by a clock of the caller's."""

    def __init__(self, *, is_patient: bool = False, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._is_patient, self._monotonic = is_patient, monotonic
        self._times: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def add(self, action_id: str) -> None:
        times = self._times[action_id] = self._times.get(action_id, 0) + 1
        pause = min(2.0**times, LONGEST_PAUSE_SECONDS) if self._is_patient else math.inf
        self._not_before[action_id] = self._monotonic() + pause

    def forget(self, action_id: str) -> None:
        """It has succeeded."""
        self._times.pop(action_id, None)
        self._not_before.pop(action_id, None)

    def clear(self) -> None:
        """The specs were edited: everything may be tried again."""
        self._times.clear()
        self._not_before.clear()

    @property
    def ids(self) -> set[str]:
        """Those that are not tried now."""
        now = self._monotonic()
        return {action_id for action_id, at in self._not_before.items() if at > now}

    @property
    def seconds_left(self) -> float:
        """Until the next of them may be tried; inf if there is none."""
        now = self._monotonic()
        return min((at - now for at in self._not_before.values() if at > now), default=math.inf)
