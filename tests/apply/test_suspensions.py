"""What is suspended is neither changed nor repaired nor pruned by any run, until it is resumed or its time is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sagespec.apply.suspensions import Suspensions
from sagespec.converge import Converged
from sagespec.reconcile.options import Options
from sagespec.state.observed import Observed
from sagespec.state.suspension import Suspension
from tests.fakes import ProcessClock, SteppedClock
from tests.place import Place
from tests.processes import Process, stepped_place, time_of

ABOUT = "endpoint/answers"


@pytest.fixture
def clock(place: Place) -> SteppedClock:
    return stepped_place(place)


def served(place: Place, *, options: Options | None = None) -> Process:
    """A `watch` of a project that serves model@1 from one instance."""
    watch = Process(place, "watch", [place.job(1), place.endpoint(only="model@1")], options=options)
    settle(watch)
    assert place.addresses() == ["endpoint/answers/only#0", "gateway"]
    return watch


def settle(process: Process) -> None:
    for _ in range(6):
        process.step()
        process.time.advance(2)
    process.step()


def suspend(place: Place, about: str = ABOUT, *, hours: float | None = None) -> None:
    now = ProcessClock(time_of(place)).now()
    until = now + timedelta(hours=hours) if hours else None
    place.world().records.write_suspension(Suspension(about=about, reason="odd figures", by="ada", at=now, until=until))


def resume(place: Place, about: str = ABOUT) -> None:
    place.world().records.forget_suspension(about)


def told(process: Process, about: str = ABOUT) -> list[str]:
    return [event.text for event in process.events if event.about == about and "suspended" in event.text]


def two_instances(place: Place) -> list[Any]:
    endpoint = place.endpoint(only="model@1")
    return [place.job(1), endpoint | {"variants": [{**endpoint["variants"][0], "instances": 2}]}]


def instances(place: Place) -> list[str]:
    return [address for address in place.addresses() if address.startswith("endpoint/")]


def test_watch_holds_back_what_is_edited_and_says_so_once(place: Place, clock: SteppedClock) -> None:
    watch = served(place)
    suspend(place)
    watch.documents[:] = two_instances(place)
    settle(watch)
    settle(watch)
    assert instances(place) == ["endpoint/answers/only#0"]
    (line,) = told(watch)
    assert line.startswith("suspended by ada since ")
    assert "odd figures" in line
    resume(place)
    settle(watch)
    assert instances(place) == ["endpoint/answers/only#0", "endpoint/answers/only#1"]
    assert "is resumed" in [event.text for event in watch.events if event.about == ABOUT]


def test_what_dies_is_repaired_once_it_is_resumed_and_not_before(place: Place, clock: SteppedClock) -> None:
    watch = served(place)
    suspend(place, "project")
    (name,) = (c.name for c in place.world().runtime.containers() if c.address.kind == "endpoint")
    place.world().runtime.remove(name)
    settle(watch)
    assert instances(place) == []
    resume(place, "project")
    settle(watch)
    assert instances(place) == ["endpoint/answers/only#0"]


def test_its_end_is_known_and_needs_nobody(place: Place, clock: SteppedClock) -> None:
    watch = served(place)
    suspend(place, hours=1)
    watch.documents[:] = two_instances(place)
    settle(watch)
    assert instances(place) == ["endpoint/answers/only#0"]
    clock.advance(3600)
    assert watch.run.is_due(unless_same_for=1e6), "a glance sees that its time is over"
    settle(watch)
    assert instances(place) == ["endpoint/answers/only#0", "endpoint/answers/only#1"]
    assert told(watch)[-1].startswith("is resumed: it was suspended by ada since ")
    assert place.world().leases.look().suspensions == (), "nothing of it is left in the store"


def test_it_is_not_pruned(place: Place, clock: SteppedClock) -> None:
    watch = served(place, options=Options(prune=True, allow_empty=True))
    suspend(place)
    watch.documents[:] = [place.job(1)]
    settle(watch)
    assert instances(place) == ["endpoint/answers/only#0"]
    resume(place)
    settle(watch)
    assert instances(place) == []


def test_a_job_that_trains_is_collected_and_the_next_one_is_not_begun(place: Place, clock: SteppedClock) -> None:
    watch = Process(place, "watch", [place.job(1)])
    watch.step()
    suspend(place, "project")
    watch.documents[:] = [place.job(1), place.job(2)]
    settle(watch)
    assert [str(job) for job in place.world().records.all_jobs()] == ["job/model@1"]


def test_an_apply_is_refused_with_who_and_why_and_does_the_rest(place: Place, clock: SteppedClock) -> None:
    served(place).leave()
    suspend(place)
    apply = Process(place, "apply", [*two_instances(place), place.job(2)], yields=True)
    settle(apply)
    converged = Converged.of(apply.run)
    assert not converged.ok
    (problem,) = converged.problems
    assert problem.about == ABOUT
    assert problem.what.startswith("suspended by ada since ")
    assert "odd figures" in problem.what
    assert "start-instance endpoint/answers/only#1" in problem.why
    assert f"`sagespec resume {ABOUT}`" in problem.fix
    assert [str(job) for job in place.world().records.all_jobs()] == ["job/model@1", "job/model@2"]


def test_whoever_insists_gets_it_and_it_stays_suspended(place: Place, clock: SteppedClock) -> None:
    served(place).leave()
    suspend(place)
    apply = Process(place, "apply", two_instances(place), yields=True, options=Options(even_suspended=True))
    settle(apply)
    assert Converged.of(apply.run).ok
    assert instances(place) == ["endpoint/answers/only#0", "endpoint/answers/only#1"]
    assert [one.about for one in place.world().leases.look().suspensions] == [ABOUT]


def test_an_instance_that_waits_beside_what_is_suspended_is_started_once(place: Place, clock: SteppedClock) -> None:
    jobs = [place.job(1), place.job(2)]
    watch = Process(place, "watch", [*jobs, place.endpoint(stable="model@1", candidate="model@1")])
    settle(watch)
    suspend(place, "job/model@4")
    watch.documents[:] = [*jobs, place.job(4), place.endpoint(stable="model@4", candidate="model@2")]
    settle(watch)
    names = {container.name for container in place.world().runtime.containers()}
    assert instances(place) == ["endpoint/answers/candidate#0"] * 2 + ["endpoint/answers/stable#0"]
    settle(watch)
    assert {container.name for container in place.world().runtime.containers()} == names
    assert "remove-instance" not in [event.text.split(" ")[0] for event in watch.events]
    resume(place, "job/model@4")
    settle(watch)
    assert instances(place) == ["endpoint/answers/candidate#0", "endpoint/answers/stable#0"]


def test_one_that_takes_the_place_of_one_that_is_over_is_kept(place: Place, clock: SteppedClock) -> None:
    """Somebody suspends again between the look of a pass and the end of the first."""
    now, records = ProcessClock(time_of(place)).now(), place.world().records
    over = Suspension(about=ABOUT, reason="odd figures", by="ada", at=now - timedelta(hours=2), until=now)
    found = Suspensions(lambda _event: None)
    found.look(Observed(suspensions=(over,)))
    again = over.model_copy(update={"reason": "still odd", "until": None})
    records.write_suspension(again)
    found.end(records, now)
    assert place.world().leases.look().suspensions == (again,)
    records.write_suspension(over)
    found.look(Observed(suspensions=(over,)))
    found.end(records, now)
    assert place.world().leases.look().suspensions == ()
