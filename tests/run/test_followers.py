"""Several sagespecs at once, killed anywhere: each job is trained once, by whoever lives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.state.manifest import JobStatus
from tests.fakes import TRAINS, Faults, Killed, SteppedClock
from tests.place import Place, manifest_of
from tests.processes import Documents, Process, check_nothing_is_left, finish, stepped_place


@pytest.fixture(autouse=True)
def _the_dead_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of a killed process end by Killed, which is no fault of the test's."""
    tell = threading.excepthook
    monkeypatch.setattr(threading, "excepthook", lambda args: args.exc_type is Killed or tell(args))


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


def clock_of(place: Place) -> SteppedClock:
    assert isinstance(place.engine.clock, SteppedClock)
    return place.engine.clock


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
            clock_of(place).advance(8)
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
