"""Several sagespecs at once, killed anywhere: each job is trained once, by whoever lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.events import Result
from sagespec.records.holder import SKEW
from sagespec.records.lease import LEASE_SECONDS
from sagespec.state.manifest import JobStatus
from tests.fakes import TRAINS, Faults
from tests.place import Place, manifest_of
from tests.processes import Documents, Process, check_nothing_is_left, finish, stepped_place, time_of


@pytest.fixture
def places(tmp_path: Path) -> Callable[[], Place]:
    def new() -> Place:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        place = Place(folder)
        stepped_place(place)
        for version in (1, 2):
            place.engine.behave(f"job/model@{version}", replace(TRAINS, lasts=20.0))
        return place

    return new


def specs(place: Place) -> Documents:
    return [place.job(1), place.job(2), place.endpoint(old="model@1", new="model@2")]


@pytest.mark.slow
@pytest.mark.parametrize("who", ["the one", "the other", "both"])
def test_killed_at_any_effect_beside_another_run_each_job_is_trained_once(
    places: Callable[[], Place], who: str
) -> None:
    """Of a pass or of a task: each follows a job of its own, and both have the other's in their specs, too."""
    effects = 1
    while True:
        place = places()
        documents = specs(place)
        faults = Faults()
        faults.kill_before = effects
        first = Process(place, "first", documents[:1], faults=faults if who != "the other" else None)
        second = Process(place, "second", documents, faults=faults if who != "the one" else None)
        for _ in range(4):
            for process in (first, second):
                process.step()
            time_of(place).advance(8)
        finish(place, [first, second], documents)
        check(place, first, second)
        if not faults.is_killed:
            break
        effects += 1
    assert effects > 20


def check(place: Place, *processes: Process) -> None:
    for version in (1, 2):
        assert manifest_of(place, version).status is JobStatus.COMPLETED
        assert place.engine.starts[f"job/model@{version}#0"] == 1
    world = place.world()
    assert world.gateway.answers("answers")  # type: ignore[attr-defined]  # the fake's own
    check_nothing_is_left(place, list(processes), endpoints=2)


# -- leases, where no process can be looked at


def followed(place: Place, job_seconds: float) -> tuple[Process, Process]:
    """A job that one follows, while another run looks on."""
    place.engine.behave("job/model@1", replace(TRAINS, lasts=job_seconds))
    follower, other = Process(place, "follower", [place.job(1)]), Process(place, "other", [place.job(1)])
    for _ in range(10):
        follower.step()
        other.step()
        time_of(place).advance(5)
    assert [task.action.verb for task in follower.run.tasks.all] == ["run-job"]
    assert other.run.tasks.all == ()
    return follower, other


def until_taken_over(place: Place, other: Process) -> float:
    """Seconds."""
    waited = 0.0
    while not other.run.tasks.all:
        assert waited < 600
        time_of(place).advance(1)
        waited += 1
        other.step()
    return waited


def test_whoever_dies_on_another_machine_is_followed_after_its_lease(places: Callable[[], Place]) -> None:
    place = places()
    follower, other = followed(place, job_seconds=300)
    follower.kill(elsewhere=True)
    assert LEASE_SECONDS * 3 / 4 <= until_taken_over(place, other) <= LEASE_SECONDS + SKEW.total_seconds() + 1
    finish(place, [other], [place.job(1)])
    assert place.engine.starts["job/model@1#0"] == 1
    assert manifest_of(place).status is JobStatus.COMPLETED
    check_nothing_is_left(place, [other], endpoints=0)


def test_a_dead_run_is_followed_at_once_where_its_process_can_be_looked_at(places: Callable[[], Place]) -> None:
    place = places()
    follower, other = followed(place, job_seconds=300)
    follower.kill()
    other.step()
    assert other.run.tasks.all


@pytest.mark.parametrize("late", [False, True], ids=["while the job runs", "after the job has ended"])
def test_one_that_was_suspended_and_taken_over_writes_nothing_when_it_wakes_up(
    places: Callable[[], Place], late: bool
) -> None:
    place = places()
    follower, other = followed(place, job_seconds=300)
    follower.clock.is_suspended = True
    until_taken_over(place, other)
    for _ in range(80 if late else 1):
        time_of(place).advance(5)
        other.step()
    assert other.is_done is late
    before, containers = dict(place.objects), place.addresses()
    follower.resume()
    assert (place.objects, place.addresses()) == (before, containers)
    outcomes = follower.step()
    assert [outcome.result for outcome in outcomes] == [Result.CANCELLED], "others follow it: no failure of the job"
    assert follower.run.tasks.all == ()
    finish(place, [follower, other], [place.job(1)])
    assert place.engine.starts["job/model@1#0"] == 1
    check_nothing_is_left(place, [follower, other], endpoints=0)


def test_one_that_was_suspended_and_not_taken_over_goes_on(places: Callable[[], Place]) -> None:
    place = places()
    follower, other = followed(place, job_seconds=300)
    follower.clock.is_suspended = True
    time_of(place).advance(3000)
    follower.resume()
    follower.step()
    assert manifest_of(place).status is JobStatus.COMPLETED
    assert follower.is_done
    finish(place, [follower, other], [place.job(1)])
    assert place.engine.starts["job/model@1#0"] == 1
