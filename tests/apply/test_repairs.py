"""Repairs: each is written down, and what does not stay repaired is repaired less and less often."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sagespec.apply.repairs import Repairs
from sagespec.causes import Cause, Reason
from sagespec.events import Event, Outcome, Result
from sagespec.plan import Plan, RecordRevision, SetRoutes
from sagespec.records.repairs import repairs_lately
from sagespec.state.addresses import endpoint_address
from sagespec.state.desired import Desired
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.world import SimulatedWorld

JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]


def spec(weight: int = 1) -> Desired:
    variants: list[dict[str, Any]] = [
        {"name": "a", "model": "churn@1", "weight": weight},
        {"name": "b", "model": "churn@2"},
    ]
    return desired_from(*JOBS, {"kind": "Endpoint", "name": "churn", "variants": variants})


@dataclass
class Scene:
    """An endpoint of two variants, of which the second loses its container again and again."""

    world: SimulatedWorld = field(default_factory=SimulatedWorld)
    events: list[Event] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.world.settle(spec())
        self.repairs = Repairs(self.events.append, slows=True, monotonic=lambda: self.now)

    def lose(self, weight: int = 1) -> Plan:
        for container in [c for c in self.world.containers if c.address.variant == "b"]:
            self.world.runtime.remove(container.name)
        return self.world.plan(spec(weight))

    def repair(self, seconds: float = 10.0) -> None:
        """Once, if it is not left alone."""
        self.now += seconds
        plan = self.lose()
        todo = plan.without(self.repairs.left(plan))
        done = [Outcome(a.id, str(a.about), a.verb, Result.DONE) for a in todo]
        self.repairs.learn(plan, done, self.world._world)

    @property
    def is_left_alone(self) -> bool:
        return bool(self.repairs.left(self.lose()))


def test_the_fifth_repair_within_ten_minutes_is_followed_by_longer_and_longer_pauses() -> None:
    scene = Scene()
    for _ in range(4):
        scene.repair()
        assert not scene.is_left_alone
    pauses = []
    for _ in range(6):
        scene.repair()
        assert scene.is_left_alone
        pauses.append(scene.repairs.seconds_left)
        scene.now += scene.repairs.seconds_left
        assert not scene.is_left_alone
    assert pauses == [60, 120, 240, 480, 900, 900]
    (event,) = scene.events
    assert (event.about, event.text) == (
        "endpoint/churn/b#0",
        "repaired 5 times within 10 min: it is repaired less often now",
    )


def test_five_repairs_in_hours_are_none_too_many() -> None:
    scene = Scene()
    for _ in range(8):
        scene.repair(seconds=300)
    assert scene.events == []


def test_what_has_stayed_repaired_for_long_is_repaired_at_once_again() -> None:
    scene = Scene()
    for _ in range(5):
        scene.repair()
    scene.repair(seconds=3600)
    assert not scene.is_left_alone


def test_what_a_spec_asks_for_is_done_at_once() -> None:
    scene = Scene()
    for _ in range(5):
        scene.repair()
    plan = scene.lose(weight=3)
    todo = plan.without(scene.repairs.left(plan))
    assert "set-routes endpoint/churn" in {action.id for action in todo}, "and the instance that it waits for"
    assert todo.actions == plan.actions


def test_where_drift_is_only_reported_a_change_of_the_specs_is_carried_out_all_the_same() -> None:
    scene = Scene()
    repairs = Repairs(scene.events.append, is_wanted=lambda: False)
    plan = scene.lose(weight=3)
    repairs.tell(plan)
    assert plan.without(repairs.left(plan)).actions == plan.actions
    assert not scene.events, "nothing is left as it is"


def test_status_learns_of_it_by_what_the_run_says_of_itself() -> None:
    scene = Scene()
    for _ in range(5):
        scene.repair()
    at = scene.world.clock.now()
    (flap,) = scene.repairs.flaps(at)
    assert (flap.about, flap.count, flap.until) == ("endpoint/churn/b#0", 5, at + timedelta(seconds=60))
    scene.now += 61
    assert scene.repairs.flaps(at) == ()


def test_each_repair_is_written_down_with_what_was_seen_and_by_whom() -> None:
    scene = Scene()
    scene.repair()
    world = scene.world
    (one,) = repairs_lately(world.records.store, PROJECT, world.clock.now(), most=10)
    assert (one.about, one.action, one.seen) == ("endpoint/churn/b#0", "start-instance", "its container is gone")
    assert one.by.startswith("sagespec apply of ")
    assert repairs_lately(world.records.store, PROJECT, world.clock.now() + timedelta(days=3), most=10) == ()


def test_where_drift_is_only_reported_nothing_is_repaired_and_it_is_told_once() -> None:
    scene = Scene()
    repairs = Repairs(scene.events.append, is_wanted=lambda: False)
    plan = scene.lose()
    for _ in range(2):
        repairs.tell(plan)
    assert not plan.without(repairs.left(plan)).actions
    assert [(event.about, event.text) for event in scene.events] == [
        ("endpoint/churn/b#0", "its container is gone; it is left as it is (drift: report)")
    ]
    world = SimulatedWorld()
    new = world.plan(spec())
    assert new.without(repairs.left(new)) == new, "what is new is no drift"


def test_the_lost_record_of_what_flaps_is_written_at_once() -> None:
    scene = Scene()
    about = endpoint_address("churn")
    plan = Plan((SetRoutes(about=about, cause=Cause(Reason.DRIFT, note="the route was changed"), route=None),))
    for _ in range(5):
        scene.repairs.learn(plan, [Outcome(a.id, str(a.about), a.verb, Result.DONE) for a in plan], scene.world._world)
    assert scene.repairs.left(plan) == {plan.actions[0].id}
    (key,) = (key for key in scene.world.objects if key.endswith("revisions/1.json"))
    del scene.world.objects[key]
    lost = scene.world.plan(spec())
    assert [type(action) for action in lost] == [RecordRevision]
    assert scene.repairs.left(lost) == set()


def test_it_flaps_from_the_first_pause_until_it_has_stayed_repaired_for_25_minutes() -> None:
    scene = Scene()
    for _ in range(4):
        scene.repair()
        assert scene.repairs.flapping() == {}
    scene.repair()
    text = "endpoint/churn/b#0 does not stay repaired: 5 times until now, and less often from here on"
    assert scene.repairs.flapping() == {"endpoint/churn": text}
    scene.repair(61)
    scene.now += 1499
    assert list(scene.repairs.flapping()) == ["endpoint/churn"], "in its pauses, too"
    scene.now += 2
    assert scene.repairs.flapping() == {}
