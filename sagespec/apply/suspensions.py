"""What one run says of suspensions, and their end when their time is over.

What they hold back is for `reconcile` to say; here nothing is pruned or taken from others that is suspended.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from sagespec.events import Event, EventKind, Report
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.records.records import Records
from sagespec.records.suspensions import end_suspension
from sagespec.state.observed import Observed
from sagespec.state.suspension import PROJECT, Suspension


class Suspensions:
    """As the last look found them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._found: tuple[Suspension, ...] = ()
        self._told: dict[str, str] = {}  # by what is suspended

    def look(self, observed: Observed) -> None:
        before, self._found = self._found, observed.suspensions
        now = {one.about for one in self._found}
        for one in before:
            if one.about not in now and self._told.pop(one.about, ""):
                self._tell(one.about, "is resumed")

    def is_any_over(self, now: datetime) -> bool:
        return any(one.is_over(now) for one in self._found)

    def seconds_left(self, now: datetime) -> float:
        """Until the next one is over; inf when none will be."""
        ends = [one.until for one in self._found if one.until]
        return min((max(0.0, (until - now).total_seconds()) for until in ends), default=math.inf)

    def end(self, records: Records, now: datetime) -> None:
        """Under the lock: forget those that are over, and say so."""
        over = [one for one in self._found if one.is_over(now)]
        for one in over:
            if not end_suspension(records, one):
                continue
            self._told.pop(one.about, None)
            self._tell(one.about, f"is resumed: it was {one.text}")
        self._found = tuple(one for one in self._found if one not in over)

    def tell(self, plan: Plan) -> None:
        """Of what holds something back, once."""
        for one in plan.suspended:
            if one.held and self._told.get(one.by.about) != one.by.text:
                self._told[one.by.about] = one.by.text
                self._tell(one.by.about, one.text)

    def sparing(self, options: Options, now: datetime) -> Options:
        """The options for what is done to things of no spec beside the plan."""
        active = frozenset(one.about for one in self._found if not one.is_over(now))
        if options.even_suspended or not active:
            return options
        return replace(options, prune=options.prune and PROJECT not in active, spared=options.spared | active)

    def _tell(self, about: str, text: str) -> None:
        self._report(Event(EventKind.NOTE, about, text))
