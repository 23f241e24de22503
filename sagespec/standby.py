"""Repairs what serves while no pass gets through: the store is away, or silent, or the specs are wrong.

`watch` makes its passes inside of it. In a thread of its own, since a pass may hang in a store that does not answer.
As soon as a pass has the lock it is the pass that repairs: what is being repaired just then is in its snapshot. Its
work may take its time, as may another run's that has the lock; only the store's silence is the standby's.

A candidate that fails does not wait for that: it is judged, too, while a pass that has the lock waits for the store.
`apply` has its rollouts judged in the same way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

from sagespec.events import Event, EventKind, Report
from sagespec.passes import Lock, Surroundings
from sagespec.records.leases import AtWork
from sagespec.serve.repair import Repair
from sagespec.serve.take_back import TakeBack
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.stores.protocol import StoreAway

SILENT_SECONDS = 3.0  # a store that takes longer may hang
LOOK_EVERY_SECONDS = 1.0


class Standby:
    """is_failing: whether the last pass could not be made. repair: None to judge rollouts alone. store_silent_for: how
    many seconds the store has been waited for."""

    def __init__(
        self,
        repair: Repair | None,
        report: Report,
        take_back: TakeBack | None = None,
        store_silent_for: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.is_failing = False
        self._repair, self._take_back, self._report = repair, take_back, report
        self._store_silent_for = store_silent_for
        self._told: set[str] = set()  # errors that nobody expects
        self._silent_since: float | None = None  # the store, by the monotonic clock; None while it is not asked
        self._has_lock = False
        self._one_at_a_time = threading.Lock()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="standby", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._left.set()

    def around(self, around: Surroundings) -> Surroundings:
        """The surroundings of the passes that this stands by for."""

        def look(at_work: AtWork) -> tuple[Desired, Observed]:
            desired, observed = around.look(at_work)
            with self._one_at_a_time:
                if self._repair:
                    self._repair.note(observed.gateway, observed.suspensions)
                if self._take_back:
                    observed = self._take_back.note(observed)
                self._silent_since = None if self._has_lock else time.monotonic()
            if self._take_back:
                self._take_back.catch_up()
            return desired, observed

        @contextmanager
        def lock() -> Iterator[Lock]:
            try:
                with around.lock() as held:
                    self._leave_alone(has_lock=True)
                    try:
                        yield held
                    finally:
                        self._has_lock, self._silent_since = False, time.monotonic()
            except StoreAway:
                self.is_failing = True
                raise

        return replace(around, look=look, lock=lock)

    @contextmanager
    def while_busy(self) -> Iterator[None]:
        """For all that may ask the store."""
        self._silent_since = time.monotonic()
        try:
            yield
        finally:
            self._silent_since = None

    def leave_to_another(self) -> None:
        """The store has just told that another run, which is alive, has the lock."""
        self._leave_alone(has_lock=False)

    def _leave_alone(self, *, has_lock: bool) -> None:
        with self._one_at_a_time:
            self.is_failing, self._has_lock, self._silent_since = False, has_lock, time.monotonic()

    def _keep(self) -> None:
        while not self._left.wait(LOOK_EVERY_SECONDS):
            with self._one_at_a_time:
                is_due = self._is_due()
                if self._take_back and (self.is_failing or self._store_silent_for() > SILENT_SECONDS):
                    self._look(self._take_back.look)
                if self._repair and is_due:
                    self._look(self._repair.look)

    def _look(self, look: Callable[[], None]) -> None:
        """An error that nobody expects is told once, and ends neither this thread nor what serves."""
        try:
            look()
        except Exception as error:
            text = f"the repair failed: {error!r}; it is tried again"
            if text not in self._told:
                self._told.add(text)
                self._report(Event(EventKind.FAILED, text=text, action="watch", at=datetime.now(UTC)))

    def _is_due(self) -> bool:
        since = self._silent_since
        return self.is_failing or (since is not None and time.monotonic() - since > SILENT_SECONDS)
