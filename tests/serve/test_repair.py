"""What is started again while the store is away, and what is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from sagespec.errors import WorldError
from sagespec.events import Event
from sagespec.serve.repair import Repair, Try, is_gateway_gone, to_start_again, without_steady
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.observed import Container, ContainerState, ObservedGateway, Route, Target
from sagespec.state.suspension import Suspension
from tests.fakes.engine import FakeContainer
from tests.place import Place

CREATED, RUNNING, EXITED = ContainerState.CREATED, ContainerState.RUNNING, ContainerState.EXITED


def a_container(name: str, state: ContainerState = EXITED) -> Container:
    address = GATEWAY if name.startswith("gateway") else Address("endpoint", "e", variant="v", instance=0)
    return Container(name, address, "1-a", state, exit_code=137 if state is EXITED else None)


ROUTES = {"e": Route("e", (Target("v", "1-a", 1.0, instances=("in-1", "in-2"), draining=("old",)),))}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        (["in-1", "in-2"], ["in-1", "in-2"]),
        (["in-1", "old", "new"], ["in-1"]),  # one is drained, the other has no requests yet
        (["in-1", "gateway"], ["gateway", "in-1"]),
        (["gateway", "gateway-2"], ["gateway"]),
    ],
)
def test_the_gateway_and_what_is_in_the_route_are_started_again(containers: list[str], expected: list[str]) -> None:
    dead = [a_container(name) for name in containers]
    assert [c.name for c in to_start_again(dead, ROUTES, {}, now=0.0)] == expected


@pytest.mark.parametrize("state", [CREATED, RUNNING, ContainerState.RESTARTING])
def test_what_has_not_ended_is_left_alone(state: ContainerState) -> None:
    there = [a_container("in-1", state), a_container("gateway", state)]
    assert to_start_again(there, ROUTES, {}, now=0.0) == ()
    assert to_start_again([*there, a_container("gateway-2")], ROUTES, {}, now=0.0) == (), "there is a gateway"


def test_what_dies_again_waits_twice_as_long_each_time() -> None:
    dead = [a_container("in-1")]
    started, tries, now = list[float](), dict[str, Try](), 0.0
    while now < 200:
        if to_start_again(dead, ROUTES, tries, now):
            tries["in-1"] = Try(tries["in-1"].times + 1 if tries else 1, now)
            started.append(now)
        now += 1.0
    assert started == [0, 2, 6, 14, 30, 62, 122, 182]


def test_a_try_is_forgotten_when_its_container_has_run_for_a_while() -> None:
    tries = {"in-1": Try(5, at=100.0), "in-2": Try(5, at=150.0), "dead": Try(5, at=0.0)}
    there = [a_container("in-1", RUNNING), a_container("in-2", RUNNING), a_container("dead")]
    assert set(without_steady(tries, there, now=160.0)) == {"in-2", "dead"}


def test_a_gateway_is_gone_when_there_is_none_for_what_is_there() -> None:
    assert is_gateway_gone([a_container("in-1", RUNNING)], ROUTES)
    assert not is_gateway_gone([a_container("in-1"), a_container("gateway", CREATED)], ROUTES)
    assert not is_gateway_gone([a_container("other", RUNNING)], ROUTES), "all was removed"
    assert not is_gateway_gone([a_container("in-1", RUNNING)], {}), "nobody knows its routes"


# -- and it is done


@dataclass
class Scene:
    """A project that serves, and its repairs, by a clock of their own."""

    place: Place
    now: float = 0.0
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.place.converge(self.place.job(1), self.place.endpoint(only="model@1")).ok
        self.world = self.place.world()
        self.repair = Repair(
            lambda: self.world.runtime, lambda: self.world.gateway, self.events.append, clock=lambda: self.now
        )
        self.repair.note(self.world.gateway.observe(self.world.runtime.containers()))

    def container(self, address: str) -> FakeContainer:
        return next(c for c in self.place.engine.all.values() if str(c.launch.address) == address)

    def kill(self, address: str) -> None:
        self.place.engine.end(self.container(address), 137)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(event.about, event.text) for event in self.events]

    @property
    def answers(self) -> bool:
        return self.world.gateway.answers("answers")  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def scene(place: Place) -> Scene:
    return Scene(place)


INSTANCE = "endpoint/answers/only#0"


def test_an_instance_and_the_gateway_serve_again_with_nothing_of_the_store(scene: Scene) -> None:
    scene.place.objects.clear()
    scene.kill(INSTANCE)
    scene.kill("gateway")
    scene.repair.look()
    assert scene.answers
    assert scene.said == [
        ("gateway", "it exited with code 137; it is started again"),
        (INSTANCE, "it exited with code 137; it is started again"),
    ]
    scene.repair.look()
    assert len(scene.said) == 2


def test_a_gateway_that_is_gone_is_made_again_with_its_routes(scene: Scene) -> None:
    scene.world.runtime.remove(scene.container("gateway").launch.name)
    scene.repair.look()
    assert scene.answers
    assert scene.said == [("gateway", "its container is gone; it is made again")]


def test_a_gateway_that_is_made_again_gets_the_routes_it_could_not_be_given_at_once(scene: Scene) -> None:
    scene.world.runtime.remove(scene.container("gateway").launch.name)
    scene.place.faults.fail = lambda text: WorldError("full") if text.startswith("route") else None
    scene.repair.look()
    assert scene.said == [("gateway", "its container is gone; full; tried again in 2 s")]
    scene.place.faults.fail = lambda _: None
    scene.repair.look()
    assert not scene.answers, "not before its time"
    scene.now = 2.0
    scene.repair.look()
    assert scene.answers


def test_a_pass_that_sees_the_new_gateway_before_it_has_its_routes_does_not_end_the_repair(scene: Scene) -> None:
    scene.world.runtime.remove(scene.container("gateway").launch.name)

    def seen_meanwhile(text: str) -> None:
        if text.startswith("route"):
            scene.repair.note(ObservedGateway(answers=True))

    scene.place.faults.fail = seen_meanwhile
    scene.repair.look()
    assert scene.said == [("gateway", "its container is gone; it is made again")]


def test_what_is_taken_out_of_the_route_meanwhile_stays_dead(scene: Scene) -> None:
    scene.world.gateway.set_route("answers", None, {})
    scene.kill(INSTANCE)
    scene.repair.look()
    assert scene.container(INSTANCE).state is EXITED
    assert scene.said == []


def test_an_engine_that_refuses_is_told_and_tried_again_later(scene: Scene) -> None:
    scene.kill(INSTANCE)
    scene.place.faults.fail = lambda text: WorldError("no room") if text.startswith("start ") else None
    for scene.now in (0.0, 1.0, 2.0, 3.0):
        scene.repair.look()
    assert [text for _, text in scene.said] == [
        "it exited with code 137; no room; tried again in 2 s",
        "it exited with code 137; no room; tried again in 4 s",
    ]


def test_what_is_suspended_stays_dead(scene: Scene) -> None:
    scene.kill("endpoint/answers/only#0")
    scene.kill("gateway")
    scene.repair.note(ObservedGateway(), (suspension("project"),))
    scene.repair.look()
    assert scene.said == []
    scene.repair.note(ObservedGateway(), (suspension("endpoint/answers"),))
    scene.repair.look()
    assert scene.said == [("gateway", "it exited with code 137; it is started again")]
    assert not scene.answers
    scene.repair.note(ObservedGateway())
    scene.repair.look()
    assert scene.answers


def suspension(about: str) -> Suspension:
    return Suspension(about=about, reason="odd figures", by="ada", at=datetime.now(UTC))
