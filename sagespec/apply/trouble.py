"""How a run bears a pass that cannot be made: a spec saved half, a lock held for long, a store away for a moment.

What runs beside the passes continues, and for its sake the run tries again. With nothing beside it, it waits only for a
store that may come back.
"""

from __future__ import annotations

import time

from sagespec.errors import SagespecError
from sagespec.events import Caller, Event, EventKind
from sagespec.run.patience import Patience
from sagespec.stores.protocol import StoreAway


class Trouble:
    """From the first pass that could not be made to the next that was. Each reason is told once."""

    def __init__(self, caller: Caller, patience: Patience | None = None) -> None:
        self._caller = caller
        self._patience = patience or Patience()
        self.end()

    def end(self) -> None:
        """A pass was made."""
        self._told: set[str] = set()
        self._since: float | None = None
        self._pauses = self._patience.pauses()

    def bear(self, error: SagespecError | OSError, *, goes_on: bool, is_first: bool) -> None:
        """Wait for a while; raises the error when there is nothing to wait for.

        goes_on: something runs beside the passes. is_first: no pass has been made yet, so nothing is lost by ending.
        """
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        may_come_back = isinstance(error, StoreAway) and not is_first and now - self._since < self._patience.seconds
        if not (goes_on or may_come_back):
            raise error
        text = str(error).splitlines()[0]
        if text not in self._told:
            self._told.add(text)
            self._caller.report(Event(EventKind.NOTE, text=f"{text}; what runs continues, and the rest is tried again"))
        self._caller.cancelled.wait(next(self._pauses))
