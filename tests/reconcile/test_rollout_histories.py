"""Rollouts in a simulated world, through any history of edits, kills, time, requests, accidents and people.

After each single action somebody serves, nothing comes to what was taken back, no step is left out or cut short; and in
the end what the spec asks for is live, or what was live before it, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.state.desired import Desired
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import HAPPENINGS
from tests.reconcile.test_properties import (
    JOBS,
    RANDOMS,
    Watcher,
    ask,
    befall,
    settle_all,
    trained,
    watched,
)

ROLLOUTS: list[dict[str, Any]] = [
    {"strategy": "canary", "size": "20%", "wait": "20m", "bake": "20m"},
    {"strategy": "linear", "size": "40%", "wait": "20m", "bake": "20m", "abort_when": [{"errors": "> 20%"}]},
    {"strategy": "rolling", "size": "50%", "wait": "20m", "bake": "20m"},
    {"strategy": "canary", "size": "50%", "wait": "10m", "bake": "1h", "no_requests": "hold", "timeout": "5h"},
    {"strategy": "all_at_once", "bake": "1h", "abort_when": [{"errors": "> 20%", "requests": 10}]},
]
HAPPENING: Mapping[str, int] = {  # each with how many kinds of it there are
    "plan": 6,
    "plan again": 12,
    "time": 4,
    "time again": 4,
    "requests": 5,
    "edit": 6,
    "accident": 20,
    "gateway": 3,
    "promotion asked": 1,
    "abort asked": 1,
    "unhealthy": 1,
}
HISTORIES = st.lists(
    st.sampled_from(sorted(HAPPENING)).flatmap(
        lambda what: st.tuples(st.just(what), st.integers(0, HAPPENING[what] - 1))
    ),
    min_size=8,
    max_size=40,
)


class History:
    def __init__(self, world: SimulatedWorld, rollout: dict[str, Any]) -> None:
        self.world, self.rollout = world, rollout
        self.watcher: Watcher = watched(world)
        self.is_unhealthy = False
        self.wanted = self.spec(0)
        settle_all(world, self.wanted)
        self.wanted = self.spec(1)
        world.settle(self.wanted)

    def spec(self, edit: int) -> Desired:
        """churn@1, 2 or 3 as one variant of two or three instances, beside another one that stays."""
        variants = [
            {"name": "a", "model": f"churn@{1 + edit % 3}", "weight": 3, "instances": 2 + edit // 3},
            {"name": "b", "model": "churn@4", "weight": 1},
        ]
        return desired_from(*JOBS, {"kind": "Endpoint", "name": "churn", "variants": variants, "rollout": self.rollout})

    def happen(self, what: str, which: int) -> None:
        match what.removesuffix(" again"):
            case "plan":  # as if killed after so many actions
                self.world.carry_out(self.world.plan(self.wanted), set(), limit=which or 99)
            case "time":
                self.world.clock.sleep((5, 400, 1300, 5000)[which])
            case "requests" if "churn" in self.world.routes:
                ask(self.world, "churn", which)
            case "edit":
                self.wanted = self.spec(which)
            case "accident":
                befall(self.world, (("gone", "exited", "created")[which % 3], which))
                self.watcher.look_again()
            case "gateway":
                HAPPENINGS["gateway"](self.world, ("gone", "exited", "off its network")[which])
                self.watcher.look_again()
            case "promotion asked" | "abort asked" if "churn" in self.world.records_of_rollouts:
                HAPPENINGS[what](self.world, "churn")
            case "unhealthy":
                self.world.turn_unhealthy("churn@3")
                self.is_unhealthy = True
                self.watcher.look_again()


@settings(max_examples=80, deadline=None)
@given(history=HISTORIES, rollout=st.sampled_from(ROLLOUTS), rng=RANDOMS)
def test_any_history_of_a_rollout_ends_well(
    history: list[tuple[str, int]], rollout: dict[str, Any], rng: Random
) -> None:
    choose: Callable[[Any], Any] = rng.choice
    world = SimulatedWorld(choose=choose, stored=trained())
    told = History(world, rollout)
    for what, which in history:
        if what != "gateway" or world.gateway.observe(world.containers).answers:
            told.happen(what, which)
    told.watcher.look_again()
    settle_all(world, told.wanted)
    after = world.plan(told.wanted)
    if told.is_unhealthy:
        return
    assert not after.actions, after.text()
    assert not world.observed().rollouts
    route = world.routes["churn"]
    assert all(target.instances for target in route.targets), route
    (endpoint,) = told.wanted.endpoints
    if not after.refused:
        assert {(t.variant, t.weight, len(t.instances)) for t in route.targets} == {
            (v.name, v.weight, v.instances) for v in endpoint.variants
        }
    instances = [c for c in world.containers if c.address.kind == "endpoint"]
    assert {c.name for c in instances} == {name for target in route.targets for name in target.instances}
