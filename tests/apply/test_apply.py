"""Walking a plan: order, skips, failures, kills, a lost lock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sagespec.apply import effects
from sagespec.apply.apply import Pass, apply
from sagespec.apply.tasks import Tasks
from sagespec.converge import converge
from sagespec.errors import WorldError
from sagespec.events import Caller, Event, EventKind, Result
from sagespec.reconcile.reconcile import reconcile
from sagespec.state.addresses import job_address
from tests.fakes import Behaviour, others
from tests.fakes.clock import START
from tests.place import Place, kill_at_every_effect


def test_killed_before_any_effect_of_a_first_apply_the_next_reaches_the_same_end(tmp_path: Path) -> None:
    def new_place() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Place(folder)

    def specs(place: Place) -> list[dict[str, Any]]:
        return [place.job(1), place.endpoint(only="model@1")]

    def check(place: Place) -> None:
        trained_before = place.world().records.manifests([job_address("model", 1)])
        result = place.converge(*specs(place))
        assert result.ok, (result.failures, result.plan.text())
        assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
        world = place.world()
        assert world.gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
        after = world.records.manifests([job_address("model", 1)])
        assert not trained_before or trained_before == after

    effects = kill_at_every_effect(new_place, lambda place: place.converge(*specs(place)), check)
    assert effects > 15


def test_what_waits_for_a_failed_action_is_skipped_and_the_rest_is_done(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=1, lines=("boom",)))
    result = place.converge(place.job(1), place.job(2), place.endpoint(only="model@1"))
    by_id = {outcome.action_id: outcome for outcome in result.outcomes}
    assert by_id["run-job job/model@1"].result is Result.FAILED
    assert by_id["run-job job/model@2"].result is Result.DONE
    assert by_id["set-routes endpoint/answers"].result is Result.SKIPPED
    assert "boom" in by_id["run-job job/model@1"].reason


def test_what_waits_for_a_job_is_skipped_though_a_pass_came_between_its_end_and_that_of_its_task(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, may_end, has_let_go = effects._train, threading.Event(), threading.Event()

    def train_and_linger(*arguments: Any) -> None:
        try:
            train(*arguments)
        finally:
            has_let_go.set()
            may_end.wait(20)

    monkeypatch.setattr(effects, "_train", train_and_linger)
    place.engine.behave("job/model@1", Behaviour(exit_code=1, lines=("boom",)))
    run = place.run(place.world(), place.job(1), place.endpoint(only="model@1"), caller=Caller(place.events.append))
    run.make_pass()
    assert has_let_go.wait(20)
    run.make_pass()
    may_end.set()
    while not all(task.has_ended for task in run.tasks.all):
        run.woken.wait(1)
    run.make_pass()
    run.leave()
    results = {outcome.action_id: outcome.result for outcome in run.outcomes}
    assert results["run-job job/model@1"] is Result.FAILED
    assert results["set-routes endpoint/answers"] is Result.SKIPPED


def test_cancelling_begins_nothing_new_and_leaves_a_running_job(place: Place) -> None:
    cancelled = threading.Event()
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    timer = threading.Timer(0.5, cancelled.set)
    timer.start()
    result = place.converge(place.job(1), place.endpoint(only="model@1"), cancelled=cancelled)
    timer.join()
    assert result.cancelled
    assert {outcome.result for outcome in result.outcomes} <= {Result.CANCELLED, Result.SKIPPED, Result.DONE}
    assert "job/model@1#0" in place.addresses()


def test_a_run_that_waits_for_a_job_of_another_run_says_so_once(place: Place) -> None:
    world = place.world()
    ada = others.ada(datetime.now(UTC))
    others.follow(world.records.store, job_address("model", 1), ada)
    run = place.run(world, place.job(1), place.endpoint(only="model@1"), caller=Caller(place.events.append))
    run.make_pass()
    run.make_pass()
    run.leave()
    notes = [event for event in place.events if event.kind is EventKind.NOTE and event.about == "job/model@1"]
    assert [event.text for event in notes] == [f"followed by {ada}; endpoint/answers waits for it"]


def test_a_lost_lock_ends_every_action_before_it_begins(place: Place) -> None:

    def guard() -> None:
        raise WorldError("the lock was taken over")

    world = place.world()
    desired, observed = place.look(world, place.job(1))
    plan = reconcile(desired, observed, START)
    outcomes = apply(Pass(plan, world, Caller(place.events.append, guard=guard), Tasks(lambda: None)))
    assert [outcome.result for outcome in outcomes] == [Result.FAILED]
    assert place.engine.all == {}


def test_a_bug_in_one_action_is_an_outcome_and_the_others_go_on(place: Place) -> None:
    place.faults.fail = lambda text: ZeroDivisionError("oops") if "start" in text and "model_v1" in text else None
    result = place.converge(place.job(1), place.job(2))
    reasons = {outcome.about: outcome.reason for outcome in result.outcomes if outcome.result is Result.FAILED}
    assert "this is a bug in sagespec" in reasons["job/model@1"]
    assert "job/model@2" not in reasons


def test_an_exception_lets_go_of_a_running_job_instead_of_waiting_for_it(place: Place) -> None:
    place.engine.behave("job/model@1", Behaviour(lasts=None))
    place.engine.behave("job/model@2", Behaviour(exit_code=1, lasts=0.5))
    world = place.world()

    def interrupted(event: Event) -> None:
        if event.kind is EventKind.FAILED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converge(place.run(world, place.job(1), place.job(2), caller=Caller(interrupted)))
    assert "job/model@1#0" in place.addresses()
