"""The jobs of a plan that are waiting for their turn, during one `apply`.

`reconcile.turns` decides whose turn it is; this module asks it again whenever the engine may have room.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.plan import Action, Plan, Reason, RunJob
from sagespec.reconcile.turns import Request, holders, needs_of, turns
from sagespec.run.run import is_over, note_wanted
from sagespec.state.addresses import Address
from sagespec.state.observed import Capacity
from sagespec.world import World


class Waiting:
    """The jobs of one plan in the order in which they came to be ready. Why one waits is reported when it changes."""

    def __init__(
        self, plan: Plan, world: World, report: Report, *, parallel_jobs: int, capacity: Capacity | None
    ) -> None:
        jobs = [action for action in plan.actions if isinstance(action, RunJob)]
        self._own = {action.about for action in jobs}
        self._world, self._report = world, report
        self._every_seconds = world.jobs.patience.queue_seconds
        self._parallel_jobs, self._capacity = parallel_jobs, capacity
        self._came: dict[Address, int] = {}
        self._wanted: set[Address] = set()
        self._check: Future[set[Address]] | None = None
        self._checked_at = float("-inf")
        self._reported: dict[Address, str] = {}
        self._others: tuple[Request, ...] = ()
        self._others_seen_at = float("-inf")
        self.most_at_once = parallel_jobs + sum(map(_is_adopted, jobs))
        self.is_held_up = False

    def due(
        self, ready: Iterable[Action], running: Iterable[Action], pool: ThreadPoolExecutor, *, begin_nothing: bool
    ) -> list[Action]:
        """The ready actions that should start now: all except jobs whose turn has not come."""
        others = [action for action in ready if not isinstance(action, RunJob)]
        jobs = [action for action in ready if isinstance(action, RunJob)]
        self.is_held_up = False
        if begin_nothing:  # all that is left is to cancel them, which needs no turn
            return [*others, *jobs]
        adopted = [action for action in jobs if _is_adopted(action)]
        waiting = [action for action in jobs if not _is_adopted(action)]
        for action in waiting:
            self._came.setdefault(action.about, len(self._came))
        waiting.sort(key=lambda action: self._came[action.about])
        following = [*(action for action in running if isinstance(action, RunJob)), *adopted]
        decided = turns(
            [Request(action.about, needs_of(action.job)) for action in waiting],
            [Request(action.about, needs_of(action.job)) for action in following],
            self._what_others_hold(waiting),
            capacity=self._capacity,
            parallel_jobs=self._parallel_jobs,
        )
        self._report_reasons(decided.waiting)
        self.is_held_up = bool(decided.waiting)
        held_up = [action for action in waiting if action.about in decided.waiting]
        start = {*decided.start, *self._need_no_turn(held_up, pool)}
        return [*others, *adopted, *(action for action in waiting if action.about in start)]

    def _need_no_turn(self, waiting: Iterable[RunJob], pool: ThreadPoolExecutor) -> set[Address]:
        """Jobs that were asked to stop, or whose max_wait is over: starting them ends them. The store is checked now
        and then, in another thread."""
        over: set[Address] = set()
        if self._check and self._check.done():
            over, self._check = self._check.result(), None
        actions = [action for action in waiting if action.about not in over]
        if self._check is None and actions and time.monotonic() - self._checked_at >= self._every_seconds:
            self._check, self._checked_at = pool.submit(self._over_in_store, actions), time.monotonic()
        return over

    def _over_in_store(self, waiting: Iterable[RunJob]) -> set[Address]:
        over = set()
        for action in waiting:
            with suppress(WorldError):  # a store that is away for a moment: the next check will show
                if action.about not in self._wanted:
                    note_wanted(self._world.jobs, action.job)
                    self._wanted.add(action.about)
                if is_over(self._world.jobs, action.job):
                    over.add(action.about)
        return over

    def _what_others_hold(self, waiting: Iterable[RunJob]) -> tuple[Request, ...]:
        """Jobs that run and are not of this plan, and the GPUs of endpoints. Asked now and then while a job
        waits that they could hold up."""
        if self._capacity is None or not any(needs_of(action.job) for action in waiting):
            return ()
        if time.monotonic() - self._others_seen_at >= self._every_seconds:
            held = holders(self._world.runtime.containers())
            self._others = tuple(request for request in held if request.about not in self._own)
            self._others_seen_at = time.monotonic()
        return self._others

    def _report_reasons(self, waiting: Mapping[Address, str]) -> None:
        for about, reason in waiting.items():
            if self._reported.get(about) != reason:
                self._reported[about] = reason
                self._report(Event(EventKind.PROGRESS, str(about), reason, action=RunJob.verb))


def _is_adopted(action: RunJob) -> bool:
    """Whether its containers run, or have run, since an earlier sagespec: it needs no turn."""
    return action.cause.reason is Reason.ADOPTED
