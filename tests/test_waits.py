"""Waits for the health of instances that the plan asks for otherwise, or no longer, while they go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagespec.events import Result
from tests.fakes import SERVES, TRAINS, SteppedClock
from tests.place import Place
from tests.processes import Process, stepped_place


@pytest.fixture
def clock(place: Place) -> SteppedClock:
    return stepped_place(place)


def healthy(process: Process) -> list[tuple[str, Result]]:
    """How the waits ended, and for what."""
    return [(o.about, o.result) for o in process.run.outcomes if o.verb == "await-healthy"]


def go_on(process: Process, clock: SteppedClock, seconds: int) -> None:
    for _ in range(seconds // 2):
        process.step()
        clock.advance(2)
    process.step()


def test_a_wait_is_not_begun_again_when_the_model_of_another_variant_is_there(
    place: Place, clock: SteppedClock
) -> None:
    place.engine.behave("job/model@2", replace(TRAINS, lasts=10.0))
    place.engine.behave("endpoint/answers", replace(SERVES, healthy_after=30.0))
    process = Process(place, "apply", [place.job(1), place.job(2), place.endpoint(a="model@1", b="model@2")])
    go_on(process, clock, 60)
    assert process.is_done
    assert healthy(process) == [("endpoint/answers/a", Result.DONE), ("endpoint/answers/b", Result.DONE)]


@pytest.mark.parametrize(("after", "result"), [(5.0, Result.DONE), (None, Result.FAILED)])
def test_an_only_instance_that_is_made_again_is_waited_for_although_it_is_in_the_route(
    place: Place, clock: SteppedClock, after: float | None, result: Result
) -> None:
    process = Process(
        place, "apply", [place.job(1), place.endpoint(only="model@1") | {"rollout": {"healthy_within": "20s"}}]
    )
    go_on(process, clock, 10)
    assert process.is_done
    instance = next(name for name, c in place.engine.all.items() if c.launch.address.kind == "endpoint")
    place.engine.behave("endpoint/answers", replace(SERVES, healthy_after=after))
    process.world.runtime.remove(instance)
    process.step()
    assert [task.action.verb for task in process.run.tasks.all] == ["await-healthy"]
    go_on(process, clock, 26)
    assert healthy(process)[-1][1] is result
    assert process.is_done
