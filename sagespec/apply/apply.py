"""Carries a plan out: walks its graph, side by side where it may, and decides nothing.

Called by `converge`. One function an action; each is safe to repeat after a kill at any line. What an
action reports goes out as events, how it ended as an `Outcome`.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sagespec.apply.effects import carry_out
from sagespec.apply.waiting import Waiting
from sagespec.errors import Cancelled, InternalError, SagespecError
from sagespec.events import Event, EventKind, Outcome, Report, Result
from sagespec.plan import (
    Action,
    Plan,
)
from sagespec.state.observed import Capacity
from sagespec.world import World

PARALLEL_ACTIONS = 8


SIGNALS_SEEN_EVERY_SECONDS = 0.5


def apply(
    plan: Plan,
    world: World,
    report: Report,
    *,
    parallel_jobs: int = 2,
    capacity: Capacity | None = None,
    cancelled: threading.Event | None = None,
    guard: Callable[[], None] = lambda: None,
) -> tuple[Outcome, ...]:
    """Carry out every action of the plan; the outcomes in the order they ended.

    An action runs when all it waits for are done, a job also only when it is its turn (reconcile/turns.py); it is
    skipped when one of those was not done. capacity: of the engine, where a job states what it needs. Setting
    `cancelled` stops new actions and lets go of running jobs, which a later apply takes up. `guard` is
    called before each action, and again before a job's results go to the store; what it raises ends that action,
    and so all that wait for it.
    """
    cancelled = cancelled or threading.Event()
    waiting = list(plan.actions)
    running: dict[Future[Outcome], Action] = {}
    results: dict[str, Result] = {}
    outcomes: list[Outcome] = []
    queue = Waiting(plan, world, report, parallel_jobs=parallel_jobs, capacity=capacity)
    with (
        ThreadPoolExecutor(PARALLEL_ACTIONS + queue.most_at_once + 1, thread_name_prefix="apply") as pool,
        _cancelling(cancelled),  # inside: the pool waits for what runs
    ):
        while waiting or running:
            ready = [action for action in waiting if results.keys() >= set(action.after)]
            for action in queue.due(ready, running.values(), pool, begin_nothing=cancelled.is_set()):
                waiting.remove(action)
                outcome = _not_begun(action, results, cancelled)
                if outcome is None:
                    running[pool.submit(_carry_out, action, world, report, cancelled, guard)] = action
                    continue
                _settle(outcome, results, outcomes, report)
            if not running:
                if queue.is_held_up:  # by jobs that are not ours to follow
                    cancelled.wait(SIGNALS_SEEN_EVERY_SECONDS)
                continue
            # Not without end: a signal that another thread received is handled when this one wakes.
            for future in wait(running, SIGNALS_SEEN_EVERY_SECONDS, FIRST_COMPLETED).done:
                del running[future]
                _settle(future.result(), results, outcomes, report)
    return tuple(outcomes)


@contextmanager
def _cancelling(cancelled: threading.Event) -> Iterator[None]:
    """Let what runs end soon when the block is left by an exception: Ctrl-C in a notebook, a reader gone."""
    try:
        yield
    except BaseException:
        cancelled.set()
        raise


def _not_begun(action: Action, results: Mapping[str, Result], cancelled: threading.Event) -> Outcome | None:
    """The outcome of an action that must not be begun; None when it may."""
    missing = [required for required in action.after if results[required] is not Result.DONE]
    if missing:
        return Outcome(action.id, str(action.about), action.verb, Result.SKIPPED, f"it waits for {missing[0]}")
    if cancelled.is_set():
        return Outcome(action.id, str(action.about), action.verb, Result.CANCELLED, "stopped on request")
    return None


def _settle(outcome: Outcome, results: dict[str, Result], outcomes: list[Outcome], report: Report) -> None:
    results[outcome.action_id] = outcome.result
    outcomes.append(outcome)
    kinds = {Result.DONE: EventKind.FINISHED, Result.FAILED: EventKind.FAILED}
    kind = kinds.get(outcome.result, EventKind.SKIPPED)
    report(Event(kind, outcome.about, outcome.reason, action=outcome.verb, at=datetime.now(UTC), done=outcome.seconds))


def _carry_out(
    action: Action, world: World, report: Report, cancelled: threading.Event, guard: Callable[[], None]
) -> Outcome:
    begun = time.monotonic()
    report(Event(EventKind.STARTED, str(action.about), str(action.cause), action=action.verb, at=datetime.now(UTC)))
    try:
        guard()
        carry_out(action, world, report, cancelled, guard)
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
    return Outcome(action.id, str(action.about), action.verb, result, reason, time.monotonic() - begun)
