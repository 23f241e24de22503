"""Carries a plan out, as far as that takes seconds: one pass, under the project's lock.

Called by `converge`. Walks the plan's graph, in parallel where it may, and decides nothing. What takes its time is
started as a task (tasks.py) and ended by the pass after its end; until then it stands in the plan, and what waits for
it waits. What an action reports goes out as events, how it ended as an `Outcome`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagespec.apply.effects import Effect, effect_of
from sagespec.apply.tasks import Task, Tasks
from sagespec.errors import Cancelled, InternalError, SagespecError
from sagespec.events import Caller, Event, EventKind, Outcome, Result
from sagespec.plan import Action, AwaitHealthy, Plan, RemoveContainer, RemoveInstance, RunJob, StartInstance
from sagespec.records.leases import FollowedElsewhere
from sagespec.state.addresses import Address
from sagespec.state.desired import JobModel
from sagespec.state.hashes import UNTRAINED
from sagespec.world import World

PARALLEL_ACTIONS = 8
SIGNALS_SEEN_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Pass:
    """What one pass works with. held: jobs whose turn it is not. satisfied: ids of waits that are over already, though
    the plan still holds them. caller: guards the project's lock."""

    plan: Plan
    world: World
    caller: Caller
    tasks: Tasks
    held: Collection[Address] = ()
    satisfied: Collection[str] = ()

    @property
    def is_anything_due(self) -> bool:
        return bool(self.due(self.results_before))

    @property
    def results_before(self) -> dict[str, Result]:
        return dict.fromkeys(self.satisfied, Result.DONE)

    def due(self, results: Mapping[str, Result]) -> list[Action]:
        """The actions that can be begun, ended or given up now. results: of those that have ended."""
        return [
            action
            for action in self.plan
            if action.id not in results and results.keys() >= set(action.after) and not self._must_wait(action, results)
        ]

    def _must_wait(self, action: Action, results: Mapping[str, Result]) -> bool:
        task = self.tasks.of(action.id)
        if task:
            return not task.has_ended or task.is_let_go
        return (
            action.about in self.held
            or (_is_planned_before_its_model(action) and all(results[id] is Result.DONE for id in action.after))
            or any(task.is_let_go and _is_in_the_way(task, action) for task in self.tasks.all)
        )


def _is_planned_before_its_model(action: Action) -> bool:
    """Whether the pass after the training has to plan it: what it starts is known by its model's checksum."""
    model = action.variant.model if isinstance(action, StartInstance) else None
    return isinstance(model, JobModel) and model.sha256 == UNTRAINED


def _is_in_the_way(task: Task, action: Action) -> bool:
    """Whether a task that was let go of still has the containers in hand that the action is about."""
    match task.action, action:
        case RunJob(about=job), RemoveContainer():
            return job == action.about.whole
        case RemoveInstance(container=name), StartInstance(container=started):
            return name == started
        case RemoveInstance(container=name), AwaitHealthy(containers=names):
            return name in names
    return False


def apply(one: Pass) -> tuple[Outcome, ...]:
    """Carry out what is due, and what becomes due by that; the outcomes in the order they ended.

    An action is begun when all it waits for are done, and skipped when one of those was not done. A caller who cancels
    gets no new actions. Their guard is called before each part of an action; what it raises fails that action, and so
    all that wait for it.
    """
    results = one.results_before
    outcomes: list[Outcome] = []
    quiet = {action.id for action in one.plan if action.is_quiet}
    running: dict[Future[Outcome | None], Action] = {}

    def record(outcome: Outcome) -> None:
        results[outcome.action_id] = outcome.result
        outcomes.append(outcome)
        if outcome.action_id not in quiet or outcome.result is Result.FAILED:
            one.caller.report(event_of(outcome))

    with ThreadPoolExecutor(PARALLEL_ACTIONS, thread_name_prefix="apply") as pool, _cancelling(one.caller):
        while True:
            begun = {action.id for action in running.values()}
            for action in one.due(results):
                if action.id in begun:
                    continue
                if outcome := _not_begun(action, one, results):
                    record(outcome)
                else:
                    running[pool.submit(_advance, action, one)] = action
            if not running:
                if not one.due(results):
                    return tuple(outcomes)
                continue
            # Not forever: a signal that another thread received is handled when this one wakes.
            for future in wait(running, SIGNALS_SEEN_EVERY_SECONDS, FIRST_COMPLETED).done:
                del running[future]
                if ended := future.result():
                    record(ended)


def event_of(outcome: Outcome) -> Event:
    kinds = {Result.DONE: EventKind.FINISHED, Result.FAILED: EventKind.FAILED}
    kind, at = kinds.get(outcome.result, EventKind.SKIPPED), datetime.now(UTC)
    return Event(
        kind,
        outcome.about,
        outcome.reason,
        action=outcome.verb,
        at=at,
        done=outcome.seconds,
        waits_for=outcome.waits_for,
    )


def outcome_of(task: Task) -> Outcome:
    """How the action of a task ended that no pass ends any more: of all but a job, half of it is not done then."""
    if not isinstance(task.action, RunJob) and task.result.exception() is None and not task.gave_up:
        task.discard()
        return given_up(task.action, "stopped on request", since=task.begun)
    if task.gave_up:
        return replace(done(task.action, since=task.begun), result=Result.FAILED, reason=task.result.result())
    return _told(task.action, task.result.result, task.begun) or done(task.action, since=task.begun)


def done(action: Action, *, since: float) -> Outcome:
    return Outcome(action.id, str(action.about), action.verb, Result.DONE, "", time.monotonic() - since)


def given_up(action: Action, reason: str, *, since: float | None = None) -> Outcome:
    seconds = time.monotonic() - since if since is not None else 0.0
    return Outcome(action.id, str(action.about), action.verb, Result.CANCELLED, reason, seconds)


def skipped_after(lost: Outcome, plan: Plan) -> list[Outcome]:
    """The outcomes of all in the plan that waited for an action which was not done."""
    outcomes, missing = [], {} if lost.result is Result.DONE else {lost.action_id: f"{lost.verb} {lost.about}"}
    for action in plan:
        if waited_for := next((other for other in action.after if other in missing), None):
            outcomes.append(_skipped(action, waited_for, missing[waited_for]))
            missing[action.id] = f"{action.verb} {action.about}"
    return outcomes


def _skipped(action: Action, missing_id: str, missing: str) -> Outcome:
    reason = f"it waits for {missing_id}"
    return Outcome(action.id, str(action.about), action.verb, Result.SKIPPED, reason, waits_for=missing)


@contextmanager
def _cancelling(caller: Caller) -> Iterator[None]:
    """Cancel what runs when the block is left by an exception: Ctrl-C in a notebook, a reader gone."""
    try:
        yield
    except BaseException:
        caller.cancelled.set()
        raise


def _not_begun(action: Action, one: Pass, results: Mapping[str, Result]) -> Outcome | None:
    """The outcome of an action that must not start; None if it may."""
    missing = next((o for o in one.plan if o.id in action.after and results[o.id] is not Result.DONE), None)
    if missing:
        return _skipped(action, missing.id, f"{missing.verb} {missing.about}")
    if one.caller.cancelled.is_set() and not one.tasks.of(action.id):
        return given_up(action, "stopped on request")
    return None


def _advance(action: Action, one: Pass) -> Outcome | None:
    """Begin an action, or end one whose task has ended; None while its task has not ended."""
    if one.tasks.of(action.id):
        task = one.tasks.take(action.id)
        return _told(action, lambda: _end(task, one), task.begun)
    begun = time.monotonic()
    text = str(action.cause)
    if not action.is_quiet:
        one.caller.report(Event(EventKind.STARTED, str(action.about), text, action=action.verb, at=datetime.now(UTC)))
    effect = effect_of(action, one.world, one.caller)
    return _told(action, lambda: _begin(action, effect, one, begun), begun)


def _begin(action: Action, effect: Effect, one: Pass, begun: float) -> bool:
    one.caller.guard()
    value = effect.begin()
    if effect.meanwhile:
        one.tasks.start(action, effect, value, one.caller, begun)
        return False
    effect.end(value)
    return True


def _end(task: Task, one: Pass) -> bool:
    value = task.result.result()
    try:
        one.caller.guard()
    except BaseException:
        task.discard()
        raise
    task.effect.end(value)
    one.tasks.note_ended(task.action)
    return True


def _told(action: Action, do: Callable[[], Any], begun: float) -> Outcome | None:
    """The outcome of what `do` does; None when it returns False: a task has its long part."""
    try:
        if do() is False:
            return None
        result, reason = Result.DONE, ""
    except (Cancelled, FollowedElsewhere) as stop:
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
