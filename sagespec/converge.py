"""Observe, reconcile, apply: one pass after the other, until nothing is left to do or what is left has failed.

Called by `verbs`, with a run of theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sagespec.apply.trouble import Trouble
from sagespec.errors import SagespecError
from sagespec.events import Outcome, Result
from sagespec.passes import LOOK_EVERY_SECONDS, MOST_REPEATS, Run
from sagespec.plan import Plan

LOOK_FULLY_EVERY_SECONDS = 30.0  # where a look in between finds nothing changed


@dataclass(frozen=True)
class Converged:
    """plan: the last one, empty when everything is up to date. outcomes: of all passes, in order."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    cancelled: bool = False

    @classmethod
    def of(cls, run: Run) -> Converged:
        return cls(run.plan, tuple(run.outcomes), run.caller.cancelled.is_set())

    @property
    def done(self) -> int:
        return sum(outcome.result is Result.DONE for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.result is Result.FAILED)

    @property
    def ok(self) -> bool:
        """Whether everything is up to date now, or on its way in another run."""
        return not self.plan.actions and not self.plan.refused and not self.failures and not self.cancelled

    def as_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "cancelled": self.cancelled,
            "outcomes": [outcome.as_json() for outcome in self.outcomes],
            "refused": [problem.as_json() for problem in self.plan.refused],
            "left_to_do": [action.id for action in self.plan.actions],
            "running": [running.as_json() for running in self.plan.running],
            "notes": list(self.plan.notes),
        }


def converge(run: Run) -> Converged:
    """Make the world agree with the specs.

    An action that failed is not tried again in the same run, nor what waits for it. A job that another run follows is
    left to it, unless an endpoint needs it and that run does not read our specs.
    """
    trouble = Trouble(run.caller)
    try:
        while not run.caller.cancelled.is_set():
            try:
                ended = run.make_pass()
            except (SagespecError, OSError) as error:
                trouble.bear(error, goes_on=run.goes_on, is_first=not run.has_passed)
                continue
            trouble.end()
            if ended:
                if max(run.repeats.values()) > MOST_REPEATS:
                    break
                continue
            if run.must_look_again:
                continue
            if not run.waits:
                break
            run.tell()
            _wait(run)
    except SagespecError:
        if not run.caller.cancelled.is_set():  # else it was about to make a pass that is not wanted any more
            raise
    finally:
        run.leave()
    return Converged.of(run)


def _wait(run: Run) -> None:
    """Until a task has ended or been cancelled, or a look shows that something is due."""
    while not run.caller.cancelled.is_set():
        look_at = time.monotonic() + LOOK_EVERY_SECONDS
        while time.monotonic() < look_at or not run.waits_for_others:
            if run.woken.wait(0.1) or run.caller.cancelled.is_set():
                return
        try:
            if run.is_due(unless_same_for=LOOK_FULLY_EVERY_SECONDS) or not run.waits:
                return
        except (SagespecError, OSError):
            return  # a pass tells
