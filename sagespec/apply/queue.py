"""The jobs of a run that wait for their turn.

`reconcile.turns` decides whose turn it is, from the snapshot of the pass; this remembers who came first, and tells why
one waits when that changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sagespec.events import Event, EventKind, Report, silent
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.turns import jobs_due
from sagespec.run.attempts import Attempts
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.observed import Observed
from sagespec.world import World


class Queue:
    """waiting: why each of the jobs waits that had no turn in the last look. Each run has a queue of its own: of what
    waits in others only the running jobs are known, so whoever looks first when a place is free has it."""

    def __init__(self) -> None:
        self.waiting: Mapping[Address, str] = {}
        self._give_up_at: dict[Address, tuple[DesiredJob, datetime]] = {}
        self._came: dict[Address, int] = {}
        self._told: dict[Address, str] = {}

    def held(
        self, plan: Plan, desired: Desired, observed: Observed, world: World, *, report: Report = silent
    ) -> frozenset[Address]:
        """The jobs of the plan whose turn it is not."""
        jobs = {action.about: action.job for action in plan if isinstance(action, RunJob)}
        for address in jobs:
            self._came.setdefault(address, len(self._came))
        self._give_up_at = {about: known for about, known in self._give_up_at.items() if jobs.get(about) == known[0]}
        decided = jobs_due(plan, desired, observed, order=self._came)
        overdue = {about for about in decided.waiting if self._is_overdue(jobs[about], world)}
        self.waiting = {about: why for about, why in decided.waiting.items() if about not in overdue}
        for about, why in self.waiting.items():
            if report is not silent and self._told.get(about) != why:
                self._told[about] = why
                report(Event(EventKind.PROGRESS, str(about), why, action=RunJob.verb))
        return frozenset(self.waiting)

    def has_overdue(self, now: datetime) -> bool:
        """Whether a job that waited at the last look has waited for too long by now."""
        return any(about in self.waiting and now >= at for about, (_, at) in self._give_up_at.items())

    def _is_overdue(self, job: DesiredJob, world: World) -> bool:
        """Whether it has waited for too long: to begin it ends it. The first look notes since when it waits."""
        if job.max_wait_seconds is None:
            return False
        if job.address not in self._give_up_at:
            attempts = Attempts(world.records, job, world.clock)
            attempts.want()
            assert attempts.give_up_at
            self._give_up_at[job.address] = job, attempts.give_up_at
        return world.clock.now() >= self._give_up_at[job.address][1]
