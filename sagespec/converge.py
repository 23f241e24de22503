"""Observe, reconcile, apply, until nothing is left to do or what is left has failed.

Called by `verbs` for apply, destroy and rollback, and by `watch` on every wake. Each pass starts from
a fresh snapshot, so what went wrong in one (a revision that failed) is cleared up in the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sagespec.apply.apply import apply
from sagespec.events import Caller, Event, EventKind, Outcome, Result
from sagespec.plan import Action, Plan
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.world import World

MAX_PASSES = 20

Look = Callable[[], tuple[Desired, Observed]]


@dataclass(frozen=True)
class Converged:
    """plan: the last one, empty when everything is up to date. outcomes: of all passes, in order."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    cancelled: bool = False

    @property
    def done(self) -> int:
        return sum(outcome.result is Result.DONE for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.result is Result.FAILED)

    @property
    def ok(self) -> bool:
        """Whether everything is up to date now."""
        return not self.plan.actions and not self.plan.refused and not self.failures and not self.cancelled

    def as_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "cancelled": self.cancelled,
            "outcomes": [outcome.as_json() for outcome in self.outcomes],
            "refused": [problem.as_json() for problem in self.plan.refused],
            "left_to_do": [action.id for action in self.plan.actions],
            "notes": list(self.plan.notes),
        }


def converge(
    look: Look,
    world: World,
    options: Options,
    caller: Caller,
) -> Converged:
    """Make the world agree with the specs.

    An action that failed is not tried again in the same run, nor what waits for it.
    """
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    for _ in range(MAX_PASSES):
        desired, observed = look()
        plan = reconcile(desired, observed, world.clock.now(), options)
        todo = without(plan, failed)
        if not todo.actions or caller.cancelled.is_set():
            return Converged(plan, tuple(outcomes), caller.cancelled.is_set())
        caller.report(Event(EventKind.PLANNED, plan=todo, total=len(todo.actions)))
        ended = apply(
            todo,
            world,
            caller,
            parallel_jobs=desired.parallel_jobs,
            capacity=observed.capacity,
        )
        outcomes += ended
        failed |= {outcome.action_id for outcome in ended if outcome.result is Result.FAILED}
        options = replace(options, retry=False)
    return Converged(plan, tuple(outcomes), caller.cancelled.is_set())


def without(plan: Plan, failed: set[str]) -> Plan:
    """The plan less the failed actions and all that wait for them."""
    dropped = set(failed)
    kept: list[Action] = []
    for action in plan.actions:
        if action.id in dropped or dropped.intersection(action.after):
            dropped.add(action.id)
        else:
            kept.append(action)
    return replace(plan, actions=tuple(kept))
