"""When the standby repairs, and when it leaves that to a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from sagespec import standby as standby_module
from sagespec.events import Event
from sagespec.standby import Standby
from sagespec.state.observed import ObservedGateway
from tests.test_watch import until

SILENT = 0.3


@dataclass
class Looks:
    """A repair that counts its looks."""

    count: int = 0
    do: Callable[[], None] = lambda: None

    def note(self, gateway: ObservedGateway) -> None:
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
