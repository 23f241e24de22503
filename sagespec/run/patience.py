"""How long a job is patient with an engine or a store that does not do as asked, and how it tries again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sagespec.errors import Cancelled, WorldError
from sagespec.records.lease import LeaseLost
from sagespec.records.members import UnfitMember
from sagespec.stores.protocol import Conflict

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long, and how often, what may fail for a moment is tried."""

    seconds: float = 60.0  # with an engine or a store that does not answer
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 15.0
    log_tries: int = 8  # in a row, when the engine breaks off a log
    log_pause_seconds: float = 0.5  # before the second try, and twice as long before each further one
    log_end_seconds: float = 120.0  # without a line after its container has ended; longer than all those pauses

    def pauses(self) -> Iterator[float]:
        """Seconds between one try and the next, without end."""
        pause = self.first_pause_seconds
        while True:
            yield pause
            pause = min(2 * pause, self.longest_pause_seconds)


def patiently(do: Callable[[], T], patience: Patience, *, note: Callable[[str], None], cancelled: threading.Event) -> T:
    """What `do` returns, tried again for `patience.seconds` while it raises a WorldError; then that error.

    A conflict, a lost lease and an archive that may not hold what it should are final: another try would end the same.
    """
    give_up_at = time.monotonic() + patience.seconds
    for pause in patience.pauses():
        try:
            return do()
        except (Conflict, UnfitMember, LeaseLost):
            raise
        except WorldError as error:
            if time.monotonic() + pause > give_up_at:
                raise
            note(f"{error.problems[0].what}; trying again in {pause:g} s")
        if cancelled.wait(pause):
            break
    raise Cancelled("stopped before everything was stored; `sagespec apply` continues from here")
