"""Observe, reconcile, apply: one pass after the other, until nothing is left to do or what is left has failed.

Called by `verbs`, with a run of theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Self

from sagespec.apply.trouble import Trouble
from sagespec.display import Displayed
from sagespec.errors import Problem, SagespecError
from sagespec.events import Outcome, Result
from sagespec.passes import MOST_REPEATS, Run
from sagespec.plan import Plan

LOOK_FULLY_EVERY_SECONDS = 30.0  # where a look in between finds nothing changed


@dataclass(frozen=True, repr=False)
class Converged(Displayed):
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
        is_held_back = any(one.held for one in self.plan.suspended)
        is_refused = bool(self.plan.refused or is_held_back)
        return not self.plan.actions and not is_refused and not self.failures and not self.cancelled

    def check(self) -> Self:
        """Itself. ApplyFailed where something has failed or was refused; stopping a run is no failure."""
        if not self.ok and not self.cancelled:
            raise ApplyFailed(self)
        return self

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What keeps it from being up to date: what failed in this run, then what else is refused, each once."""
        failed = tuple(_problem_of(outcome, self.plan.refused) for outcome in self.failures)
        others = tuple(one for one in self.plan.refused if not any(is_told_by(o, one) for o in self.failures))
        return failed + others + tuple(one.problem for one in self.plan.suspended if one.held)

    def as_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "cancelled": self.cancelled,
            "outcomes": [outcome.as_json() for outcome in self.outcomes],
            "refused": [problem.as_json() for problem in self.plan.refused],
            "left_to_do": [action.id for action in self.plan.actions],
            "running": [running.as_json() for running in self.plan.running],
            **({"rolling": [one.as_json() for one in self.plan.rolling]} if self.plan.rolling else {}),
            "notes": list(self.plan.notes),
            **({"suspended": [one.as_json() for one in self.plan.suspended]} if self.plan.suspended else {}),
        }


class ApplyFailed(SagespecError):
    """Not everything that the specs ask for is up to date. converged: how all of it ended."""

    def __init__(self, converged: Converged) -> None:
        self.converged = converged
        undone = Problem(f"not up to date: one action was undone {MOST_REPEATS} times", fix="see `sagespec status`")
        super().__init__(converged.problems or [undone])


def is_told_by(outcome: Outcome, refused: Problem) -> bool:
    """Whether a refusal only says that this has failed: this address, or a part of the endpoint."""
    about, first = outcome.about.partition("#")[0], _first_line(outcome.reason)
    return about == refused.about or (about.startswith(f"{refused.about}/") and first in refused.what)


def _first_line(reason: str) -> str:
    return reason.partition("\n")[0].removesuffix("; its last lines:")


def _problem_of(outcome: Outcome, refused: tuple[Problem, ...]) -> Problem:
    """What failed, with all that is said of it; where its spec is, and the fix, if a refusal has them."""
    said = next((problem for problem in refused if is_told_by(outcome, problem)), None)
    found = Problem.read(outcome.reason or f"{outcome.verb} failed", outcome.about)
    return replace(found, fix=found.fix or said.fix, where=said.where) if said else found


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
        look_at = time.monotonic() + run.look_every_seconds
        while time.monotonic() < look_at or not run.waits_for_others:
            if run.woken.wait(0.1) or run.caller.cancelled.is_set():
                return
        try:
            if run.is_due(unless_same_for=LOOK_FULLY_EVERY_SECONDS) or not run.waits:
                return
        except (SagespecError, OSError):
            return  # a pass tells
