"""What a run bears while others of its jobs train, and what is left when it does not end as planned."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from sagespec.apply.apply import Pass, apply
from sagespec.apply.effects import Effect
from sagespec.apply.tasks import Tasks
from sagespec.converge import converge
from sagespec.errors import SpecError, WorldError
from sagespec.events import Caller, EventKind, Report, Result
from sagespec.passes import Run, Surroundings
from sagespec.plan import AwaitHealthy, Plan, StartInstance
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.leases import AtWork
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.stores.protocol import StoreAway
from tests.fakes import TRAINS
from tests.fakes.clock import START
from tests.place import NoLock, Place, manifest_of


def troubled(place: Place, errors: list[Exception], *documents: Any) -> Run:
    """A run of which the second pass and those after it meet these errors, one after the other."""
    world = place.world()
    looks = 0

    def look(at_work: AtWork) -> tuple[Desired, Observed]:
        nonlocal looks
        looks += 1
        if looks > 1 and errors:
            raise errors.pop(0)
        return place.look(world, *documents, at_work=at_work)

    return Run(Surroundings(look, lambda: world, lambda: nullcontext(NoLock())), Caller(place.events.append))


@pytest.mark.parametrize("error", [SpecError("a tab"), StoreAway("no answer"), OSError(28, "No space left", "x")])
def test_a_pass_that_cannot_be_made_costs_no_job_its_follower(place: Place, error: Exception) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=0.2))
    place.engine.behave("job/model@2", replace(TRAINS, lasts=4.0))
    run = troubled(place, [error], place.job(1), place.job(2))
    result = converge(run)
    assert result.ok
    assert [outcome.result for outcome in result.outcomes] == [Result.DONE, Result.DONE]
    told = [event.text for event in place.events if event.kind is EventKind.NOTE]
    assert len([text for text in told if "what runs continues" in text]) == 1


def test_with_nothing_beside_it_wrong_specs_end_a_run(place: Place) -> None:
    run = troubled(place, [SpecError("a tab")], place.job(1))
    with pytest.raises(SpecError, match="a tab"):
        converge(run)
    assert manifest_of(place, 1), "and the job that had ended is in the store"


def test_what_is_half_done_when_a_run_is_left_is_not_told_as_done(place: Place) -> None:
    assert place.converge(place.job(1)).ok
    world = place.world()
    caller = Caller(place.events.append)

    def prepare(_report: Report) -> None:
        caller.cancelled.set()
        time.sleep(0.5)  # an image takes its time, and the run is left meanwhile

    world.gateway.prepare = prepare  # type: ignore[method-assign, assignment]
    result = converge(place.run(world, place.job(1), place.endpoint(only="model@1"), caller=caller))
    assert Result.DONE not in {outcome.result for outcome in result.outcomes}
    assert place.addresses() == []


def test_a_model_on_its_way_leaves_no_copy_when_the_lock_is_lost(place: Place) -> None:
    assert place.converge(place.job(1)).ok
    world = place.world()
    desired, observed = place.look(world, place.job(1), place.endpoint(only="model@1"))
    plan = reconcile(desired, observed, START)
    start = next(action for action in plan if isinstance(action, StartInstance))
    discarded: list[str] = []
    tasks = Tasks(lambda: None)
    effect = Effect(meanwhile=lambda _value, _caller: "copy", discard=discarded.append)
    tasks.start(start, effect, None, Caller(), 0.0)
    tasks.all[0].wait(5)

    def lost() -> None:
        raise WorldError("the lock was lost")

    (outcome,) = apply(Pass(Plan((replace(start, after=()),)), world, Caller(guard=lost), tasks))
    assert outcome.result is Result.FAILED
    assert discarded == ["copy"]


def test_what_was_found_out_about_an_instance_is_not_held_against_the_next_one(place: Place) -> None:
    assert place.converge(place.job(1)).ok
    world = place.world()
    desired, observed = place.look(world, place.job(1), place.endpoint(only="model@1"))
    plan = reconcile(desired, observed, START)
    waits = next(action for action in plan if isinstance(action, AwaitHealthy))
    start = next(action for action in plan if isinstance(action, StartInstance))
    judged: list[str] = []
    tasks = Tasks(lambda: None)
    tasks.start(waits, Effect(judged.append, meanwhile=lambda _v, _c: "it exited"), None, Caller(), 0.0)
    tasks.start(start, Effect(meanwhile=lambda _v, _c: None), None, Caller(), 0.0)
    for task in tasks.all:
        task.wait(5)
    steps = (replace(start, after=()), replace(waits, after=(start.id,)))
    apply(Pass(Plan(steps), world, Caller(), tasks))
    assert judged == [], "the one it is about is gone"
