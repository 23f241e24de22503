"""What takes its time: the parts of actions that run without the project's lock, while passes come and go.

`apply` starts a task when an action's turn has come, and ends the action when its task has ended. A task whose action
is in no plan any more is let go of: a newer spec is there. `converge` holds the tasks of one run.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sagespec.apply.effects import Effect
from sagespec.causes import Cause, Reason
from sagespec.events import Caller
from sagespec.plan import Action, AwaitHealthy, AwaitNotebook, DrainInstance, StartInstance
from sagespec.state.observed import ContainerState, Observed

FETCHES_AT_ONCE = 16  # models and images: more at a time would only share the same disk and line
FETCHES_OF_ONE = 4  # of them, at most, for one endpoint: a slow source of its models leaves room for others
_SAME_CAUSE = Cause(Reason.FOLLOWS)


class Task:
    """The long part of one action, in a thread of its own. begun: by the monotonic clock, with the action."""

    def __init__(self, action: Action, effect: Effect, caller: Caller, begun: float) -> None:
        self.action, self.effect, self.begun = action, effect, begun
        self.result: Future[Any] = Future()
        self._caller = Caller(caller.report)  # without the project's lock, and cancelled on its own

    def run(self, value: Any, room: Room, on_end: Callable[[], None]) -> None:
        assert self.effect.meanwhile
        try:
            if isinstance(self.action, StartInstance):
                with room.of(self.action.about.name):
                    result = self.effect.meanwhile(value, self._caller)
            else:
                result = self.effect.meanwhile(value, self._caller)
        except BaseException as error:  # told by whoever ends the action
            self.result.set_exception(error)
        else:
            self.result.set_result(result)
        on_end()

    @property
    def has_ended(self) -> bool:
        return self.result.done()

    @property
    def gave_up(self) -> bool:
        """Whether it has ended with a reason why instances are not healthy."""
        has_result = self.has_ended and self.result.exception() is None
        return has_result and isinstance(self.action, AwaitHealthy) and bool(self.result.result())

    @property
    def is_let_go(self) -> bool:
        return self._caller.cancelled.is_set()

    def is_for(self, action: Action) -> bool:
        """Whether the action asks for what is being done, whatever it waits for and whyever it is there."""
        return _is_same_work(self.action, action)

    def is_outdated(self, observed: Observed) -> bool:
        """Whether it has found instances healthy that are not so any more: they were lost or replaced."""
        found_healthy = self.has_ended and self.result.exception() is None and not self.result.result()
        return isinstance(self.action, AwaitHealthy) and found_healthy and not _holds(self.action, observed)

    def still_waits(self, observed: Observed) -> bool:
        """Whether its instances run and are not healthy yet. One that came back is in the route before it answers."""
        names = self.action.containers if isinstance(self.action, AwaitHealthy) else ()
        running = {c.name for c in observed.containers if c.state is ContainerState.RUNNING}
        return bool(names) and not self.has_ended and running.issuperset(names) and not _holds(self.action, observed)

    def is_fulfilled(self, observed: Observed) -> bool:
        """Whether all that it waits for are healthy, or open, although it may not have ended."""
        if isinstance(self.action, AwaitNotebook):
            running = {c.name for c in observed.containers if c.state is ContainerState.RUNNING}
            return self.action.container in running - observed.silent
        return isinstance(self.action, AwaitHealthy) and _holds(self.action, observed)

    def let_go(self) -> None:
        self._caller.cancelled.set()

    def wait(self, seconds: float) -> None:
        """For its end, that long at most."""
        wait([self.result], seconds)

    def discard(self) -> None:
        """Clear up after it has ended and nobody wants its result."""
        if self.result.exception() is None:
            self.effect.discard(self.result.result())


class Room:
    """Where fetches wait until there are few enough."""

    def __init__(self) -> None:
        self._of_all = threading.Semaphore(FETCHES_AT_ONCE)
        self._of_one: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(FETCHES_OF_ONE))

    @contextmanager
    def of(self, endpoint: str) -> Iterator[None]:
        with self._of_one[endpoint], self._of_all:
            yield


class Tasks:
    """The tasks of one run, by the id of their action. on_end: called, in its thread, whenever one ends."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._room = Room()
        self._all: dict[str, Task] = {}
        self._satisfied: dict[str, Action] = {}
        self._lock = threading.Lock()

    def start(self, action: Action, effect: Effect, value: Any, caller: Caller, begun: float) -> None:
        task = Task(action, effect, caller, begun)
        with self._lock:
            self._all[action.id] = task
        arguments = (value, self._room, self._on_end)
        threading.Thread(target=task.run, args=arguments, name=f"task {action.id}", daemon=True).start()

    def of(self, action_id: str) -> Task | None:
        return self._all.get(action_id)

    def take(self, action_id: str) -> Task:
        """The task, which has ended and is forgotten with this."""
        with self._lock:
            return self._all.pop(action_id)

    @property
    def all(self) -> tuple[Task, ...]:
        with self._lock:
            return tuple(self._all.values())

    def unasked(self, wanted: Iterable[Action]) -> tuple[Task, ...]:
        """Those that these actions do not ask for, and that have not been let go of yet."""
        asked = {action.id: action for action in wanted}
        return tuple(
            task
            for task in self.all
            if not task.is_let_go and not (task.action.id in asked and task.is_for(asked[task.action.id]))
        )

    def note_ended(self, action: Action) -> None:
        """A wait that leaves no trace in the world is over; what the plan has behind it may wait for others yet. And
        what was found out about a container is not true of one started in its place."""
        if isinstance(action, AwaitHealthy | DrainInstance):
            self._satisfied[action.id] = action
        elif isinstance(action, StartInstance):
            for task in self.all:
                known = task.action
                if isinstance(known, AwaitHealthy) and action.container in known.containers and task.has_ended:
                    self.take(known.id)

    def satisfied(self, wanted: Iterable[Action], observed: Observed) -> frozenset[str]:
        """Those of these actions that are over and still hold; the others are forgotten, and waited for again."""
        for task in self.all:
            if task.is_outdated(observed):
                self.take(task.action.id)
        kept = {
            action.id: action
            for action in wanted
            if (known := self._satisfied.get(action.id)) and _is_same_work(known, action) and _holds(action, observed)
        }
        self._satisfied = kept
        return frozenset(kept)

    def sweep(self) -> None:
        """Forget those that were let go of and have ended."""
        for task in self.all:
            if task.is_let_go and task.has_ended:
                self.take(task.action.id).discard()

    def wait_for_all(self, seconds: float) -> None:
        wait([task.result for task in self.all], seconds)


def _holds(action: Action, observed: Observed) -> bool:
    """Whether instances that were healthy are so still."""
    probes = observed.gateway.probes
    names = action.containers if isinstance(action, AwaitHealthy) else ()
    return all(name in probes and probes[name].healthy for name in names)


def _is_same_work(one: Action, other: Action) -> bool:
    """A model that was trained meanwhile makes another endpoint of the same spec, and the wait is the same."""
    if isinstance(one, AwaitHealthy) and isinstance(other, AwaitHealthy) and one.endpoint.hash == other.endpoint.hash:
        one = replace(one, endpoint=other.endpoint)
    return _without_cause(one) == _without_cause(other)


def _without_cause(action: Action) -> Action:
    return replace(action, cause=_SAME_CAUSE, after=())
