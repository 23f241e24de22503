"""What goes on beside the passes: begun once, ended once, let go of, or forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sagespec.apply.effects import Effect
from sagespec.apply.tasks import FETCHES_AT_ONCE, FETCHES_OF_ONE, Task, Tasks
from sagespec.causes import Cause, Reason
from sagespec.events import Caller
from sagespec.plan import Action, AwaitHealthy, DrainInstance, Plan, StartInstance
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.observed import Observed, ObservedGateway, Probe
from tests.fakes.clock import START
from tests.fakes.specs import desired_from
from tests.place import Place


@dataclass
class Running:
    """Tasks whose long part waits until the test lets it end."""

    ends: int = 0
    discarded: list[Any] = field(default_factory=list)
    may_end: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.tasks = Tasks(self._note_end)
        self._lock = threading.Lock()

    def _note_end(self) -> None:
        self.ends += 1

    def _work(self, value: Any, caller: Caller) -> Any:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        while not (self.may_end.wait(0.001) or caller.cancelled.is_set()):
            pass
        with self._lock:
            self.at_once -= 1
        if isinstance(value, Exception):
            raise value
        return value

    def start(self, action: Action, value: Any = None, *, end_at_once: bool = False) -> Task:
        effect = Effect(meanwhile=self._work, discard=self.discarded.append)
        if end_at_once:
            self.may_end.set()
        self.tasks.start(action, effect, value, Caller(), 0.0)
        task = self.tasks.of(action.id)
        assert task
        if end_at_once:
            self.tasks.wait_for_all(10)
            assert task.has_ended
            self.may_end.clear()
        return task


@pytest.fixture
def running() -> Running:
    return Running()


@pytest.fixture
def plan(place: Place) -> Plan:
    """With an action of each kind that takes its time."""
    desired = desired_from(place.job(1), place.endpoint(only="model@1"))
    return reconcile(desired, Observed(), START)


def one(plan: Plan, kind: type[Action]) -> Any:
    return next(action for action in plan if isinstance(action, kind))


def probed(*healthy: str) -> Observed:
    return Observed(gateway=ObservedGateway(answers=True, probes={name: Probe(healthy=True) for name in healthy}))


def test_each_end_is_told(running: Running, plan: Plan) -> None:
    running.start(one(plan, StartInstance), "model", end_at_once=True)
    failed = running.start(one(plan, AwaitHealthy), ValueError("oh"), end_at_once=True)
    assert running.ends == 2
    with pytest.raises(ValueError, match="oh"):
        failed.result.result()


def test_it_goes_on_for_an_action_that_only_has_another_reason(running: Running, plan: Plan) -> None:
    action = one(plan, AwaitHealthy)
    running.start(action)
    same = replace(action, cause=Cause(Reason.DRIFT), after=())
    assert running.tasks.unasked([same]) == ()
    for other in (replace(action, within_seconds=1.0), replace(action, containers=("another",))):
        assert other.id == action.id
        assert len(running.tasks.unasked([other])) == 1
    assert len(running.tasks.unasked([])) == 1
    running.may_end.set()


def test_what_was_let_go_of_is_asked_about_no_more_and_cleared_up_after_its_end(running: Running, plan: Plan) -> None:
    task = running.start(one(plan, StartInstance), "model")
    running.tasks.sweep()
    assert list(running.tasks.all) == [task]
    task.let_go()
    assert running.tasks.unasked([]) == ()
    running.tasks.wait_for_all(10)
    assert running.discarded == []
    running.tasks.sweep()
    assert list(running.tasks.all) == []
    assert running.discarded == ["model"]


def test_what_failed_left_nothing_to_clear_up(running: Running, plan: Plan) -> None:
    running.start(one(plan, StartInstance), ValueError("oh")).let_go()
    running.tasks.wait_for_all(10)
    running.tasks.sweep()
    assert running.discarded == []


def test_what_has_ended_and_is_wanted_is_not_swept(running: Running, plan: Plan) -> None:
    task = running.start(one(plan, StartInstance), "model", end_at_once=True)
    running.tasks.sweep()
    assert running.tasks.take(task.action.id) is task
    assert running.tasks.of(task.action.id) is None
    assert running.discarded == []


def test_so_many_models_are_fetched_at_once_and_of_one_endpoint_fewer(running: Running, plan: Plan) -> None:
    """So that a slow source of one endpoint's models holds up no other endpoint."""
    action = one(plan, StartInstance)

    def start(endpoint: str, count: int) -> None:
        for number in range(count):
            running.start(replace(action, about=replace(action.about, name=endpoint, instance=number)))

    def wait_for(at_once: int) -> None:
        while running.at_once < at_once:
            threading.Event().wait(0.001)

    start("slow", FETCHES_AT_ONCE + 3)
    wait_for(FETCHES_OF_ONE)
    start("quick", 1)
    wait_for(FETCHES_OF_ONE + 1)
    for number in range(FETCHES_AT_ONCE):
        start(f"another{number}", 1)
    wait_for(FETCHES_AT_ONCE)
    running.start(one(plan, AwaitHealthy))
    wait_for(FETCHES_AT_ONCE + 1)
    running.may_end.set()
    running.tasks.wait_for_all(10)
    assert running.ends == 2 * FETCHES_AT_ONCE + 5
    assert running.most_at_once <= FETCHES_AT_ONCE + 1, "one of them no fetch"


# -- waits that are over


def test_a_wait_that_is_over_is_remembered_while_it_holds(running: Running, plan: Plan) -> None:
    action = one(plan, AwaitHealthy)
    running.tasks.note_ended(action)
    healthy = probed(*action.containers)
    assert running.tasks.satisfied(plan, healthy) == {action.id}
    assert running.tasks.satisfied([replace(action, after=())], healthy) == {action.id}
    assert running.tasks.satisfied(plan, probed()) == frozenset()
    assert running.tasks.satisfied(plan, healthy) == frozenset(), "what was forgotten is waited for again"


@pytest.mark.parametrize(
    "changed", [lambda action: [], lambda action: [replace(action, min_healthy_seconds=99.0)]], ids=["gone", "another"]
)
def test_a_wait_that_another_plan_has_not_is_forgotten(
    running: Running, plan: Plan, changed: Callable[[Any], list[Action]]
) -> None:
    action = one(plan, AwaitHealthy)
    healthy = probed(*action.containers)
    running.tasks.note_ended(action)
    assert running.tasks.satisfied(changed(action), healthy) == frozenset()
    assert running.tasks.satisfied(plan, healthy) == frozenset()


def test_only_waits_leave_no_trace_of_their_own(running: Running, plan: Plan) -> None:
    drain = DrainInstance(
        about=one(plan, StartInstance).about, cause=Cause(Reason.REMOVED), container="c", within_seconds=1.0
    )
    for action in (*plan, drain):
        running.tasks.note_ended(action)
    expected = {drain.id, one(plan, AwaitHealthy).id}
    assert running.tasks.satisfied([*plan, drain], probed(*one(plan, AwaitHealthy).containers)) == expected


@pytest.mark.parametrize(
    ("result", "is_there", "is_kept"),
    [("", True, True), ("", False, False), ("it exited", False, True), (ValueError(), False, True)],
    ids=["healthy", "healthy, then lost", "never healthy", "failed"],
)
def test_instances_found_healthy_and_lost_since_are_waited_for_again(
    running: Running, plan: Plan, result: Any, is_there: bool, is_kept: bool
) -> None:
    action = one(plan, AwaitHealthy)
    running.start(action, result, end_at_once=True)
    running.tasks.satisfied(plan, probed(*action.containers) if is_there else probed())
    assert (running.tasks.of(action.id) is not None) is is_kept
