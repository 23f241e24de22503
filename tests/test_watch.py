"""What wakes a pass, and what does not end the watch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sagespec.apply.failures import Failures
from sagespec.converge import Run
from sagespec.events import Caller, Event, EventKind
from sagespec.records.leases import AtWork
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.watch import watch
from tests.place import Place


def test_a_disk_that_refuses_is_told_and_the_next_pass_comes(place: Place, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    looks, events = 0, list[Event]()
    world = place.world()
    caller = Caller(events.append)
    run = place.run(world, caller=caller)
    look = run.around.look

    def failing(at_work: AtWork) -> tuple[Desired, Observed]:
        nonlocal looks
        looks += 1
        if looks == 1:
            (specs / "spec.yaml").write_text("")  # somebody edits: no need to wait
            raise OSError(28, "No space left on device", "/project/.sagespec")
        caller.cancelled.set()
        return look(at_work)

    watching = Run(replace(run.around, look=failing), caller, yields=False, failures=Failures(is_patient=True))
    watch(watching, world.runtime, [specs], every_seconds=60)
    assert looks == 2
    (told,) = (event for event in events if event.kind is EventKind.FAILED)
    assert "No space left on device" in told.text
