"""One run's passes, and what goes on between them: which waits go on, end, are remembered, or come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sagespec.converge import Converged, converge
from sagespec.errors import WorldError
from sagespec.events import Caller, EventKind, Result
from sagespec.passes import MOST_REPEATS, Lock
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.state.desired import Desired
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Observed
from sagespec.state.revision import RestartRequest
from sagespec.verbs.plan import DESTROY
from tests.fakes import SERVES, TRAINS, Behaviour, SteppedClock
from tests.place import Place, manifest_of
from tests.processes import Documents, Process, finish, stepped_place

SLOW = replace(SERVES, healthy_after=60.0)
NEVER = replace(SERVES, healthy_after=None)


@pytest.fixture
def clock(place: Place) -> SteppedClock:
    return stepped_place(place)


def endpoint(place: Place, model: str = "model@1", *, weight: int = 1, **fields: Any) -> dict[str, Any]:
    variants = [{"name": "only", "model": model, "weight": weight, **fields}]
    return place.endpoint() | {"variants": variants}


def trained(place: Place, clock: SteppedClock, *versions: int) -> None:
    process = Process(place, "trains", [place.job(version) for version in versions])
    for _ in range(5):
        process.step()
        clock.advance(2)
    process.step()
    process.leave()
    assert all(manifest_of(place, version) for version in versions)


def verbs(process: Process) -> list[str]:
    return [task.action.verb for task in process.run.tasks.all]


# -- clocks


def test_a_retry_that_runs_is_taken_up_whatever_the_clocks_said(place: Place, clock: SteppedClock) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=1))
    first = Process(place, "first", [place.job(1)])
    for _ in range(3):
        first.step()
        clock.advance(2)
    first.leave()
    failed = manifest_of(place, 1)
    assert failed
    ahead = failed.model_copy(update={"ended_at": failed.ended_at + timedelta(minutes=10)})
    first.world.records.write_manifest(ahead)
    place.engine.behave("job/model@1", replace(TRAINS, lasts=60.0))
    retrying = Process(place, "retrying", [place.job(1)], options=Options(retry=True))
    retrying.step()
    clock.advance(5)
    retrying.leave()
    later = Process(place, "later", [place.job(1)])
    later.step()
    assert verbs(later) == ["run-job"]
    clock.advance(60)
    later.step()
    later.leave()
    manifest = manifest_of(place, 1)
    assert manifest
    assert manifest.status is JobStatus.COMPLETED
    assert place.engine.starts["job/model@1#0"] == 2


# -- edits


def test_what_was_let_go_of_wakes_one_look_and_no_more(place: Place, clock: SteppedClock) -> None:
    trained(place, clock, 1)
    place.engine.behave("endpoint/answers", NEVER)
    process = Process(place, "watch", [place.job(1), endpoint(place)])
    process.step()
    assert verbs(process) == ["await-healthy"]
    process.documents[:] = [place.job(1)]
    process.step()
    clock.advance(2)  # it ends
    process.run.is_due()
    assert not process.run.woken.is_set(), "else the loop would look again and again, as fast as it can"
    assert verbs(process) == []


def test_a_spec_that_changes_when_a_wait_has_just_ended_is_seen_through(place: Place, clock: SteppedClock) -> None:
    trained(place, clock, 1)
    place.engine.behave("endpoint/answers", SLOW)
    process = Process(place, "watch", [place.job(1), endpoint(place)])
    process.step()
    clock.advance(62)  # healthy now, and no pass has heard of it
    process.documents[:] = [place.job(1), endpoint(place, environment={"MODE": "x"})]
    process.step()
    assert verbs(process) == ["await-healthy"]
    assert not process.run.tasks.all[0].is_let_go, "the one for the new instance"
    clock.advance(62)
    process.step()
    assert process.is_done
    process.leave()


def test_a_job_whose_spec_is_edited_is_followed_to_its_end_as_it_was_started(place: Place, clock: SteppedClock) -> None:
    place.engine.behave("job/model@1", replace(TRAINS, lasts=60.0))
    process = Process(place, "watch", [place.job(1, hyperparameters={"eta": "0.1"})])
    process.step()
    clock.advance(5)
    process.documents[:] = [place.job(1, hyperparameters={"eta": "0.2"})]
    process.step()
    assert verbs(process) == ["run-job"]
    assert not process.run.tasks.all[0].is_let_go
    assert "since it was started" in process.run.plan.refused[0].what
    clock.advance(60)
    process.step()
    process.leave()
    manifest = manifest_of(place, 1)
    assert manifest
    assert manifest.status is JobStatus.COMPLETED
    assert manifest.key_fields["hyperparameters.eta"] == "0.1"
    assert place.engine.starts["job/model@1#0"] == 1


def test_edits_without_end_do_not_end_an_apply(place: Place) -> None:
    world, edits = place.world(), 0
    run = place.run(world, caller=Caller(place.events.append))

    def edited(at_work: AtWork) -> tuple[Desired, Observed]:
        nonlocal edits
        edits += 1
        weight = edits if edits < 3 * MOST_REPEATS else 7
        return place.look(world, place.job(1), endpoint(place, weight=weight), at_work=at_work)

    result = converge(replace(run, around=replace(run.around, look=edited)))
    assert result.ok, result.plan.text()
    assert edits > 3 * MOST_REPEATS
    (target,) = world.gateway.observe(world.runtime.containers()).routes["answers"].targets
    assert target.weight == 7


def test_what_is_undone_again_and_again_ends(place: Place) -> None:
    world = place.world()
    run = place.run(world, caller=Caller(place.events.append))
    looks = 0

    def undone(at_work: AtWork) -> tuple[Desired, Observed]:
        nonlocal looks
        looks += 1
        if place.world().gateway.observe(world.runtime.containers()).routes:
            world.gateway.set_route("answers", None, {})
        return place.look(world, place.job(1), endpoint(place), at_work=at_work)

    result = converge(replace(run, around=replace(run.around, look=undone)))
    assert not result.ok
    assert MOST_REPEATS < looks < 3 * MOST_REPEATS


# -- jobs


def test_what_waits_for_a_job_that_failed_is_told_by_whoever_looks_before_each_pass(
    place: Place, clock: SteppedClock
) -> None:
    place.engine.behave("job/model@1", Behaviour(exit_code=1, lasts=10.0))
    process = Process(place, "watch", [place.job(1), endpoint(place)])
    process.step()
    clock.advance(12)
    outcomes = {outcome.action_id: outcome.result for outcome in process.step()}
    assert outcomes["run-job job/model@1"] is Result.FAILED
    assert outcomes["set-routes endpoint/answers"] is Result.SKIPPED


def test_each_job_of_a_queue_is_retried_once(place: Place, clock: SteppedClock) -> None:
    for version in (1, 2, 3, 4):
        place.engine.behave(f"job/model@{version}", Behaviour(exit_code=1, lasts=10.0))
    jobs = [place.job(version) for version in (1, 2, 3, 4)]
    for options in (Options(), Options(retry=True)):
        process = Process(place, f"apply {options.retry}", list(jobs), options=options, yields=True)
        for _ in range(5):
            process.step()
            clock.advance(12)
        process.step()
        assert process.is_done
        process.leave()
    assert set(place.engine.starts.values()) == {2}, place.engine.starts


def test_a_job_whose_lease_could_not_be_given_back_is_taken_up_by_the_same_run(
    place: Place, clock: SteppedClock
) -> None:
    """The store was away for longer than a job is patient."""
    place.engine.behave("job/model@1", replace(TRAINS, lasts=10.0))
    process = Process(place, "watch", [place.job(1)])
    process.step()
    process.faults.fail = lambda text: WorldError("the store is away") if "store " in text else None
    clock.advance(12)
    process.step()
    process.faults.fail = lambda _text: None
    for _ in range(30):
        process.step()
        clock.advance(5)
    assert manifest_of(place).status == "completed"
    assert process.is_done
    assert place.engine.starts["job/model@1#0"] == 1


# -- waits for health


def test_a_wait_for_health_that_is_over_is_not_repeated_while_others_wait(place: Place, clock: SteppedClock) -> None:
    trained(place, clock, 1, 2)
    both = place.endpoint(a="model@1", b="model@2")
    place.engine.behave("endpoint/answers/b#0", SLOW)
    process = Process(place, "watch", [place.job(1), place.job(2), both])
    process.step()
    clock.advance(2)
    process.step()
    assert [str(task.action.about) for task in process.run.tasks.all] == ["endpoint/answers/b"]
    for _ in range(5):
        clock.advance(2)
        process.step()
    begun = [e for e in process.events if e.kind is EventKind.STARTED and e.action == "await-healthy"]
    assert sorted(event.about for event in begun) == ["endpoint/answers/a", "endpoint/answers/b"]
    clock.advance(60)
    process.step()
    assert process.is_done
    process.leave()


def test_an_instance_that_was_lost_after_it_was_found_healthy_is_waited_for_again(
    place: Place, clock: SteppedClock
) -> None:
    trained(place, clock, 1)
    place.engine.behave("endpoint/answers", SLOW)
    process = Process(place, "watch", [place.job(1), endpoint(place)])
    process.step()
    clock.advance(62)  # healthy now, and no pass has heard of it
    instance = next(name for name, c in place.engine.all.items() if c.launch.address.kind == "endpoint")
    process.world.runtime.remove(instance)
    process.step()
    clock.advance(2)
    process.step()
    assert not process.world.gateway.observe(process.world.runtime.containers()).routes, "it does not answer yet"
    clock.advance(62)
    process.step()
    assert process.is_done
    assert process.world.gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
    process.leave()


@pytest.mark.parametrize("slow", ["prepare", "fill"])
def test_what_was_fetched_for_an_instance_that_nobody_wants_any_more_is_removed(
    place: Place, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    trained(place, clock, 1)
    process = Process(place, "watch", [place.job(1), endpoint(place)])
    owner = process.world.runtime if slow == "prepare" else process.world.runtime.volumes
    at_once = getattr(owner, slow)

    def slowly(*arguments: Any) -> Any:
        process.clock.sleep(30)
        return at_once(*arguments)

    monkeypatch.setattr(owner, slow, slowly)
    while "start-instance" not in verbs(process):
        clock.advance(31)
        process.step()  # which does not wait for what is slow
    clock.advance(31)
    assert place.engine.volumes != {}
    process.documents[:] = [place.job(1)]
    process.step()
    assert place.engine.volumes == {}
    assert "endpoint" not in str(place.addresses())


# -- what others remove


def destroying(place: Place) -> Process:
    return Process(place, "destroy", [], options=DESTROY, yields=True)


def destroyed(place: Place, clock: SteppedClock) -> None:
    process = destroying(place)
    for _ in range(20):
        process.step()
        clock.advance(5)
    process.step()
    process.leave()
    assert place.addresses() == []


def test_what_was_served_before_a_watch_began_is_not_put_back_either(place: Place, clock: SteppedClock) -> None:
    trained(place, clock, 1)
    documents: Documents = [place.job(1), endpoint(place)]
    finish(place, [], documents)
    watching = Process(place, "watch", documents)
    assert watching.step() == []
    destroyed(place, clock)
    watching.step()
    clock.advance(5)
    watching.step()
    assert place.addresses() == []
    told = [f"{event.about} {event.text}" for event in watching.events if event.kind is EventKind.NOTE]
    assert len(told) == 1, told
    assert told[0].startswith("endpoint/answers was removed by sagespec destroy")
    assert [problem.about for problem in watching.run.plan.refused] == ["endpoint/answers"], "counted by each look"
    watching.leave()


def test_a_run_that_waits_for_its_first_lock_does_not_put_back_what_is_removed_meanwhile(
    place: Place, clock: SteppedClock
) -> None:
    trained(place, clock, 1)
    documents: Documents = [place.job(1), endpoint(place)]
    finish(place, [], documents)
    waiting = Process(place, "apply", documents, yields=True)
    lock = waiting.run.around.lock

    @contextmanager
    def after_destroy() -> Iterator[Lock]:
        destroyed(place, clock)
        with lock() as held:
            yield held

    waiting.run.around = replace(waiting.run.around, lock=after_destroy)
    assert waiting.run.make_pass() == ()
    assert "removed by sagespec destroy" in waiting.run.plan.refused[0].what
    assert place.addresses() == []
    waiting.leave()


@pytest.mark.parametrize("is_same", [True, False])
def test_what_is_applied_while_destroy_waits_stays(place: Place, clock: SteppedClock, is_same: bool) -> None:
    trained(place, clock, 1)
    old: Documents = [place.job(1), endpoint(place)]
    new: Documents = old if is_same else [place.job(1), endpoint(place) | {"name": "others"}]
    place.engine.behave("endpoint/answers", replace(SERVES, active_requests=1))
    finish(place, [], old)
    destroy = destroying(place)
    destroy.run.make_pass()
    assert destroy.run.waits, "for the last requests"
    later = Process(place, "apply", new, yields=True)
    for _ in range(20):
        later.step()
        clock.advance(2)
    later.leave()
    for _ in range(20):
        destroy.step()
        clock.advance(5)
    assert destroy.is_done
    assert Converged.of(destroy.run).ok
    destroy.leave()
    about = "endpoint/answers" if is_same else "endpoint/others"
    assert place.addresses() == [f"{about}/only#0", "gateway"]
    told = [f"{event.about} {event.text}" for event in destroy.events if event.kind is EventKind.NOTE]
    assert told[0].startswith(f"{about} was applied by sagespec apply")


# -- restarts


def test_a_restart_that_cannot_start_is_not_in_the_way_of_the_next_spec(place: Place, clock: SteppedClock) -> None:
    trained(place, clock, 1, 2)
    documents: Documents = [place.job(1), place.job(2), endpoint(place)]
    watch = Process(place, "watch", documents)
    watch.step()
    clock.advance(2)
    watch.step()
    request = RestartRequest(about="endpoint/answers", after=1, by="ada", at=clock.now())
    watch.world.records.write_restart(request)
    place.engine.builtins = ("gateway",)
    watch.step()
    assert watch.world.leases.look().restarts == {}
    documents[:] = [place.job(1), place.job(2), endpoint(place, "model@2")]
    place.engine.builtins = ("gateway", "xgboost")
    for _ in range(3):
        watch.step()
        clock.advance(2)
    assert watch.is_done
    assert watch.world.records.history("answers")[-1].asked.variants[0].model.text == "model@2"
    watch.leave()
