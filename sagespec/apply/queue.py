"""The jobs of a run that wait for their turn.

`reconcile.turns` decides whose turn it is, from the snapshot of the pass; this remembers who came first, and tells why
one waits when that changes.
"""

from __future__ import annotations

from collections.abc import Mapping

from sagespec.events import Event, EventKind, Report, silent
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.turns import jobs_due
from sagespec.run.attempts import Attempts
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.observed import Observed
from sagespec.world import World


class Queue:
    """waiting: why each of the jobs waits that had no turn in the last look."""

    def __init__(self) -> None:
        self.waiting: Mapping[Address, str] = {}
        self._came: dict[Address, int] = {}
        self._told: dict[Address, str] = {}

    def held(
        self, plan: Plan, desired: Desired, observed: Observed, world: World, *, report: Report = silent
    ) -> frozenset[Address]:
        """The jobs of the plan whose turn it is not."""
        jobs = {action.about: action.job for action in plan if isinstance(action, RunJob)}
        for address in jobs:
            self._came.setdefault(address, len(self._came))
        decided = jobs_due(plan, desired, observed, order=self._came)
        self.waiting = {about: why for about, why in decided.waiting.items() if not _is_overdue(jobs[about], world)}
        for about, why in self.waiting.items():
            if report is not silent and self._told.get(about) != why:
                self._told[about] = why
                report(Event(EventKind.PROGRESS, str(about), why, action=RunJob.verb))
        return frozenset(self.waiting)


def _is_overdue(job: DesiredJob, world: World) -> bool:
    """Whether it has waited for too long: to begin it ends it. The first look notes since when it waits."""
    if job.max_wait_seconds is None:
        return False
    attempts = Attempts(world.records, job, world.clock)
    attempts.want()
    return attempts.overdue is not None
