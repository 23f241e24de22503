"""Carries a plan out: walks its graph, in parallel where it may, and decides nothing.

Called by `converge`. One function an action; each is safe to repeat after a kill at any line. What an
action reports goes out as events, how it ended as an `Outcome`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sagespec.apply.effects import carry_out
from sagespec.apply.waiting import Waiting
from sagespec.errors import Cancelled, InternalError, SagespecError
from sagespec.events import Caller, Event, EventKind, Outcome, Report, Result
from sagespec.plan import Action, Plan
from sagespec.state.observed import Capacity
from sagespec.world import World

PARALLEL_ACTIONS = 8
SIGNALS_SEEN_EVERY_SECONDS = 0.5


def apply(
    plan: Plan,
    world: World,
    caller: Caller,
    *,
    parallel_jobs: int = 2,
    capacity: Capacity | None = None,
) -> tuple[Outcome, ...]:
    """Carry out every action of the plan; the outcomes in the order they ended.

    An action runs when all it waits for are done, a job also only when it is its turn (reconcile/turns.py); it is
    skipped when one of those was not done. capacity: of the engine, where a job states what it needs. A caller who
    cancels gets no new actions, and running jobs are left to a later apply. Their guard is called before each
    action, and again before a job's results go to the store; what it raises fails that action, and so all that wait
    for it.
    """
    waiting = list(plan.actions)
    running: dict[Future[Outcome], Action] = {}
    results: dict[str, Result] = {}
    outcomes: list[Outcome] = []
    queue = Waiting(plan, world, caller.report, parallel_jobs=parallel_jobs, capacity=capacity)
    with (
        ThreadPoolExecutor(PARALLEL_ACTIONS + queue.most_at_once + 1, thread_name_prefix="apply") as pool,
        _cancelling(caller),  # inside: the pool waits for what runs
    ):
        while waiting or running:
            ready = [action for action in waiting if results.keys() >= set(action.after)]
            for action in queue.due(ready, running.values(), pool, begin_nothing=caller.cancelled.is_set()):
                waiting.remove(action)
                outcome = _not_begun(action, plan, results, is_cancelled=caller.cancelled.is_set())
                if outcome is None:
                    running[pool.submit(_carry_out, action, world, caller)] = action
                    continue
                _record(outcome, results, outcomes, caller.report)
            if not running:
                if queue.is_held_up:  # by jobs that are not ours to follow
                    caller.cancelled.wait(SIGNALS_SEEN_EVERY_SECONDS)
                continue
            # Not forever: a signal that another thread received is handled when this one wakes.
            for future in wait(running, SIGNALS_SEEN_EVERY_SECONDS, FIRST_COMPLETED).done:
                del running[future]
                _record(future.result(), results, outcomes, caller.report)
    return tuple(outcomes)


@contextmanager
def _cancelling(caller: Caller) -> Iterator[None]:
    """Cancel what runs when the block is left by an exception: Ctrl-C in a notebook, a reader gone."""
    try:
        yield
    except BaseException:
        caller.cancelled.set()
        raise


def _not_begun(action: Action, plan: Plan, results: Mapping[str, Result], *, is_cancelled: bool) -> Outcome | None:
    """The outcome of an action that must not start; None if it may."""
    about = str(action.about)
    missing = next((other for other in plan if other.id in action.after and results[other.id] is not Result.DONE), None)
    if missing:
        reason, waits_for = f"it waits for {missing.id}", f"{missing.verb} {missing.about}"
        return Outcome(action.id, about, action.verb, Result.SKIPPED, reason, waits_for=waits_for)
    if is_cancelled:
        return Outcome(action.id, about, action.verb, Result.CANCELLED, "stopped on request")
    return None


def _record(outcome: Outcome, results: dict[str, Result], outcomes: list[Outcome], report: Report) -> None:
    results[outcome.action_id] = outcome.result
    outcomes.append(outcome)
    kinds = {Result.DONE: EventKind.FINISHED, Result.FAILED: EventKind.FAILED}
    kind = kinds.get(outcome.result, EventKind.SKIPPED)
    report(
        Event(
            kind,
            outcome.about,
            outcome.reason,
            action=outcome.verb,
            at=datetime.now(UTC),
            done=outcome.seconds,
            waits_for=outcome.waits_for,
        )
    )


def _carry_out(action: Action, world: World, caller: Caller) -> Outcome:
    begun, about = time.monotonic(), str(action.about)
    caller.report(Event(EventKind.STARTED, about, str(action.cause), action=action.verb, at=datetime.now(UTC)))
    try:
        caller.guard()
        carry_out(action, world, caller)
        result, reason = Result.DONE, ""
    except Cancelled as stop:
        result, reason = Result.CANCELLED, str(stop)
    except SagespecError as error:
        result, reason = Result.FAILED, str(error)
    except OSError as error:
        result, reason = Result.FAILED, f"{error.strerror or error} ({error.filename or 'no file'})"
    except Exception as error:  # one action's bug must not take the others' outcomes with it
        place = traceback.extract_tb(error.__traceback__)[-1]
        bug = InternalError(
            f"{type(error).__name__}: {error} (at {Path(place.filename).name}:{place.lineno})",
            why="this is a bug in sagespec",
            fix="please report it with this message and the output of `sagespec doctor`",
        )
        result, reason = Result.FAILED, str(bug)
    return Outcome(action.id, about, action.verb, result, reason, time.monotonic() - begun)
