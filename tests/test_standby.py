"""When the standby repairs, and when it leaves that to a pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from sagespec import standby as standby_module
from sagespec.events import Caller, Event
from sagespec.records.leases import AtWork
from sagespec.records.lock import LockHeld, project_lock
from sagespec.standby import Standby
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed, ObservedGateway
from sagespec.state.suspension import Suspension
from tests.place import Place
from tests.test_watch import until

SILENT = 0.3


@dataclass
class Looks:
    """A repair that counts its looks."""

    count: int = 0
    do: Callable[[], None] = lambda: None

    def note(self, gateway: ObservedGateway, suspensions: tuple[Suspension, ...]) -> None:
        pass

    def look(self) -> None:
        self.count += 1
        self.do()


@dataclass
class Scene:
    repair: Looks = field(default_factory=Looks)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.standby = Standby(self.repair, self.events.append)  # type: ignore[arg-type]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(standby_module, "SILENT_SECONDS", SILENT)
    monkeypatch.setattr(standby_module, "LOOK_EVERY_SECONDS", 0.02)
    scene = Scene()
    with scene.standby:
        yield scene


def test_an_error_that_nobody_expects_is_told_once_and_the_repairs_go_on(scene: Scene) -> None:
    def fail() -> None:
        raise KeyError("answers")

    scene.repair.do = fail
    scene.standby.is_failing = True
    until(lambda: scene.repair.count > 2)
    (told,) = scene.events
    assert told.text == "the repair failed: KeyError('answers'); it is tried again"


def test_a_pass_that_works_for_long_repairs_by_itself(scene: Scene, place: Place) -> None:
    around = scene.standby.around(place.run(place.world(), caller=Caller()).around)
    with scene.standby.while_busy(), around.lock():
        around.look(AtWork())
        time.sleep(3 * SILENT)
    assert scene.repair.count == 0


def test_a_pass_whose_look_hangs_does_not(scene: Scene, place: Place) -> None:
    passes = place.run(place.world(), caller=Caller()).around

    def hangs(at_work: AtWork) -> tuple[Desired, Observed]:
        until(lambda: scene.repair.count > 0)
        return passes.look(at_work)

    around = scene.standby.around(replace(passes, look=hangs))
    with scene.standby.while_busy(), around.lock():
        around.look(AtWork())


def test_what_another_run_has_the_lock_for_is_left_to_it(scene: Scene, place: Place) -> None:
    store, seen_held = place.world().records.store, scene.standby.leave_to_another
    with project_lock(store, "p", command="apply"):
        scene.standby.is_failing = True
        with scene.standby.while_busy():
            seen_held()
            scene.repair.count = 0
            lock = project_lock(
                store, "p", command="watch", wait_seconds=5 * SILENT, seen_held=seen_held, sleep=briefly
            )
            with pytest.raises(LockHeld):
                lock.__enter__()
    assert scene.repair.count == 0


def test_a_store_that_hangs_while_another_run_is_waited_for_is_away(scene: Scene) -> None:
    with scene.standby.while_busy():
        scene.standby.leave_to_another()
        until(lambda: scene.repair.count > 0)


def briefly(seconds: float) -> None:
    time.sleep(min(seconds, SILENT / 3))
