"""What no plan may ever do, over random specs, random accidents and kills after any action.

A simulated world takes a random series of specs. Each is applied up to a random action, as if killed
there; containers die and vanish; models are unhealthy and jobs fail. Then all is let settle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.plan import (
    Action,
    AwaitHealthy,
    DrainInstance,
    Plan,
    RecordProgress,
    RemoveInstance,
    SetRoutes,
    StartGateway,
)
from sagespec.reconcile.options import Options
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, desired_endpoint
from sagespec.state.progress import Progress
from sagespec.state.revision import live_revision
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.reconcile.happenings import HAPPENINGS

RANDOMS = st.builds(Random, st.integers(0, 2**32 - 1))  # st.randoms draws as it goes, which histories may not repeat
VERSIONS = st.integers(1, 4)
JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in range(1, 5)]
KILLED_AFTER = st.integers(0, 12) | st.just(99)  # actions; or not at all, so that what comes next meets a settled world
WEIGHTS = st.sampled_from([0, 1, 10, 50, 90])


ROLLOUTS: list[dict[str, Any]] = [
    {},
    {},
    {"strategy": "canary", "size": "20%", "wait": "20m", "bake": "20m"},
    {"strategy": "linear", "size": "40%", "wait": "20m", "bake": "20m", "abort_when": [{"errors": "> 20%"}]},
    {"strategy": "rolling", "size": "50%", "wait": "20m", "bake": "20m"},
    {"bake": "1h", "no_requests": "hold", "timeout": "5h"},
]
FAILS = st.integers(0, 4) | st.just(0)  # of 4 requests of a candidate


@st.composite
def endpoints(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    variants = [
        {
            "name": name,
            "model": f"churn@{draw(VERSIONS)}",
            "weight": draw(WEIGHTS),
            "instances": draw(st.integers(1, 3)),
            "environment": draw(st.sampled_from([{}, {"MODE": "x"}])),
        }
        for name in names
    ]
    if not any(variant["weight"] for variant in variants):
        variants[0]["weight"] = 1
    return {
        "kind": "Endpoint",
        "name": draw(st.sampled_from(["churn", "fraud"])),
        "variants": variants,
        "rollout": {"replace": draw(st.sampled_from(["changed", "always"])), **draw(st.sampled_from(ROLLOUTS))},
        "protect": draw(st.sampled_from([False, False, True])),
    }


@st.composite
def specs(draw: st.DrawFn) -> Desired:
    asked = draw(st.lists(endpoints(), max_size=2, unique_by=lambda endpoint: endpoint["name"]))
    return desired_from(*JOBS, *asked)


@cache
def trained() -> Mapping[str, bytes]:
    """What a store holds when all of JOBS are trained: for properties that are not about training."""
    world = SimulatedWorld()
    world.settle(desired_from(*JOBS))
    return world.objects


def trained_without(versions: set[int]) -> Mapping[str, bytes]:
    models = {key: data for key, data in trained().items() if "/jobs/" in key and "/active/" not in key}
    return {key: data for key, data in models.items() if int(key.split("/")[3]) not in versions}


@st.composite
def accidents(draw: st.DrawFn) -> list[tuple[str, int]]:
    kinds = st.sampled_from(["gone", "exited", "created", "route lost"])
    return draw(st.lists(st.tuples(kinds, st.integers(0, 20)), max_size=3))


def befall(world: SimulatedWorld, accident: tuple[str, int]) -> None:
    kind, index = accident
    addresses = [str(container.address) for container in world.containers]
    names = sorted(world.routes) if kind == "route lost" else addresses
    if names:
        HAPPENINGS[kind](world, names[index % len(names)])


def ask(world: SimulatedWorld, endpoint: str, fails: int) -> None:
    """40 requests; of those that candidates get, so many in 4 fail."""
    progress = world.records_of_rollouts.get(endpoint)
    asked = desired_endpoint(endpoint, progress.asked).variants if progress else ()
    hashes = {variant.hash for variant in asked}
    if any(target.weight for target in world.routes[endpoint].targets):
        world.gateway.ask(endpoint, 40, lambda target, number: target.hash in hashes and number % 4 < fails)


def settle_all(world: SimulatedWorld, desired: Desired, options: Options | None = None) -> None:
    """Until no rollout is on its way any more."""
    for _ in range(40):
        if not world.settle(desired, options, passes=20).rolling:
            return
        world.clock.sleep(1200)
    raise AssertionError(f"still rolling: {world.plan(desired).text()}")


class Watcher:
    """Checks the world after every single action. `prunes`: endpoints that no spec names may stop answering."""

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world
        self.prunes = False
        self.served: set[str] = set()
        self.busy: set[str] = set()  # containers that have had traffic and were not drained since
        self.plan_knew_routes = True  # one made without a gateway drains nothing, though it may find its old routes
        self.trained: dict[Address, int] = {}
        self.taken_back: dict[str, set[str]] = {}  # by endpoint: the hashes that get nothing until something begins
        self.steps: dict[str, Progress] = {}

    def __call__(self, action: Action) -> None:
        if isinstance(action, DrainInstance):
            self.busy.discard(action.container)
        if isinstance(
            action, AwaitHealthy
        ):  # one that died and was started again is out of the route until it is healthy
            routed = {name for names in self.with_traffic().values() for name in names}
            self.busy -= {name for name in action.containers if name not in routed}
        if isinstance(action, RemoveInstance) and self.plan_knew_routes:
            assert action.container not in self.busy, f"{action.id} was not drained"
        serving = self.serving()
        for name in self.served - serving:
            leaves = (self.prunes and action.cause.reason.value == "removed") or action.verb == "start-gateway"
            assert leaves, f"{name} answered before {action.id} and nobody answers now"
        self.note_what_serves()
        self.follow_rollout(action)
        if isinstance(action, StartGateway):
            self.plan_knew_routes = False
        if action.verb == "run-job":
            self.trained[action.about] = self.trained.get(action.about, 0) + 1

    def follow_rollout(self, action: Action) -> None:
        """Nothing comes to a candidate that was taken back, and no step is left out or shorter than asked for."""
        name = action.about.name
        if isinstance(action, SetRoutes) and action.route:
            weighted = [target for target in action.route.targets if target.weight]
            hashes = {target.hash for target in weighted}  # two variants of one model may have the same
            if action.step == "back":
                live = live_revision(self.world.records.history(name))
                asked = [self.steps[name].asked, *([live.asked] if live else [])]
                candidate, *others = ({v.hash for v in desired_endpoint(name, one).variants} for one in asked)
                self.taken_back[name] = candidate.difference(*others)
            elif action.step in ("", "step 1"):
                self.taken_back.pop(name, None)
            assert not self.taken_back.get(name, set()) & hashes, f"{action.id}: it was taken back"
            if action.step.startswith("step") and len(action.route.targets) <= 2:
                assert sum(target.weight for target in weighted) == pytest.approx(1)
        now = self.world.records_of_rollouts.get(name)  # None once an instance that failed has ended it meanwhile
        if isinstance(action, RecordProgress) and now:
            before = self.steps.get(name)
            if before and (before.number, before.begun) == (now.number, now.begun) and now.step != before.step:
                assert now.step == before.step + 1
                assert now.since - before.since >= timedelta(seconds=before.asked.rollout.wait)
            self.steps[name] = now

    def note_what_serves(self) -> None:
        self.served = self.serving()
        self.busy.update(*self.with_traffic().values())

    def look_again(self) -> None:
        """Before the first action, and after accidents: they cut requests, and nobody is to blame for that."""
        routed = {n for r in self.world.routes.values() for t in r.targets for n in (*t.instances, *t.draining)}
        self.busy = {name for name in self.busy & routed if self.world.is_healthy(name)}
        self.plan_knew_routes = True
        self.note_what_serves()

    def with_traffic(self) -> dict[str, set[str]]:
        """The healthy instances that get traffic, by endpoint."""
        return {
            name: {n for t in route.targets if t.weight > 0 for n in t.instances if self.world.is_healthy(n)}
            for name, route in self.world.routes.items()
        }

    def serving(self) -> set[str]:
        """Endpoints with at least one healthy instance that gets traffic."""
        return {name for name, instances in self.with_traffic().items() if instances}


def watched(world: SimulatedWorld) -> Watcher:
    world.check = watcher = Watcher(world)
    return watcher


@settings(max_examples=150, deadline=None)
@given(
    series=st.lists(st.tuples(specs(), KILLED_AFTER, accidents(), FAILS), min_size=1, max_size=4),
    failing=st.sets(VERSIONS, max_size=1),
    untrained=st.sets(VERSIONS, max_size=2),
    unhealthy=st.sets(VERSIONS, max_size=1),
    rng=RANDOMS,
)
def test_any_history_of_edits_kills_and_accidents_settles(
    series: list[tuple[Desired, int, list[tuple[str, int]], int]],
    failing: set[int],
    untrained: set[int],
    unhealthy: set[int],
    rng: Random,
) -> None:
    world = SimulatedWorld(choose=rng.choice, stored=trained_without(failing | untrained))
    for version in failing:
        world.fail_job(Address("job", "churn", version))
    for version in unhealthy:
        world.turn_unhealthy(f"churn@{version}")
    watcher = watched(world)
    for desired, killed_after, accidents_then, fails in series:
        watcher.look_again()
        world.carry_out(world.plan(desired), set(), limit=killed_after)
        for name in sorted(world.routes):
            ask(world, name, fails)
        for _ in range(fails):
            world.clock.sleep(700)
            world.carry_out(world.plan(desired), set(), limit=killed_after)
        for accident in accidents_then:
            befall(world, accident)
    desired = series[-1][0]
    watcher.look_again()
    settle_all(world, desired)
    after = world.plan(desired)
    # Only what can never succeed is left: instances of a live revision whose model has turned unhealthy.
    left = [action for action in after if action.verb not in ("await-healthy", "set-routes", "start-instance")]
    assert not left or unhealthy, after.text()
    if not unhealthy:
        assert not after.actions, after.text()
        for endpoint in desired.endpoints:
            if not after.refused:
                shares = {t.variant: t.weight for t in world.routes[endpoint.name].targets}
                assert shares == {v.name: v.weight for v in endpoint.variants}
    assert all(times == 1 for job, times in watcher.trained.items() if job not in world.failing_jobs)
    assert not [c for c in world.containers if c.address.kind == "job"]


@settings(max_examples=60, deadline=None)
@given(before=specs(), after=specs(), kills=st.lists(st.integers(0, 6), max_size=4), rng=RANDOMS)
def test_pruning_leaves_exactly_what_is_asked_and_what_is_protected(
    before: Desired, after: Desired, kills: list[int], rng: Random
) -> None:
    world = SimulatedWorld(choose=rng.choice, stored=trained())
    watcher = watched(world)
    watcher.prunes = True
    settle_all(world, before)
    options = Options(prune=True, allow_empty=True)
    for kill in kills:
        watcher.look_again()
        world.carry_out(world.plan(after, options), set(), limit=kill)
    watcher.look_again()
    settle_all(world, after, options)
    protected = {endpoint.name for endpoint in before.endpoints if endpoint.protect}
    wanted = {endpoint.name for endpoint in after.endpoints}
    live = {c.address.name for c in world.containers if c.address.kind == "endpoint"}
    assert wanted <= live <= wanted | protected
    assert protected <= live


@settings(max_examples=60, deadline=None)
@given(desired=specs(), others=specs(), rng=RANDOMS)
def test_equal_worlds_give_equal_plans(desired: Desired, others: Desired, rng: Random) -> None:
    world = SimulatedWorld(choose=rng.choice, stored=trained())
    watched(world)
    settle_all(world, others)
    assert world.plan(desired) == world.plan(desired)
    assert world.plan(desired).text() == world.plan(desired).text()


@settings(max_examples=80, deadline=None)
@given(before=specs(), after=specs(), rng=RANDOMS)
def test_a_change_of_weights_alone_touches_no_container(before: Desired, after: Desired, rng: Random) -> None:
    world = SimulatedWorld(choose=rng.choice, stored=trained())
    watched(world)
    settle_all(world, before)
    for endpoint in after.endpoints:
        live = next((e for e in before.endpoints if e.name == endpoint.name), None)
        if live is None or {(v.name, v.hash, v.instances) for v in live.variants} != {
            (v.name, v.hash, v.instances) for v in endpoint.variants
        }:
            continue
        only = replace(after, endpoints=(endpoint,))
        verbs = {action.verb for action in world.plan(only) if action.about.name == endpoint.name}
        assert verbs <= {"set-routes", "record-revision"}


def replacing() -> tuple[SimulatedWorld, Plan]:
    """A world that serves one instance, and the plan that replaces it."""

    def serving(environment: dict[str, str]) -> Desired:
        variants = [{"name": "a", "model": "churn@1", "environment": environment}]
        return desired_from(*JOBS, {"kind": "Endpoint", "name": "churn", "variants": variants})

    world = SimulatedWorld(stored=trained())
    world.settle(serving({}))
    watched(world).look_again()
    return world, world.plan(serving({"MODE": "x"}))


@pytest.mark.parametrize(
    ("hurried", "found"),
    [
        (SetRoutes, "churn answered before set-routes"),
        (RemoveInstance, "remove-instance .* was not drained"),
    ],
)
def test_the_properties_notice_an_action_that_waits_for_nothing(hurried: type[Action], found: str) -> None:
    world, plan = replacing()
    early = [replace(action, after=()) for action in plan.actions if isinstance(action, hurried)]
    rest = [action for action in plan.actions if not isinstance(action, hurried)]
    assert early
    with pytest.raises(AssertionError, match=found):
        world.carry_out(replace(plan, actions=(*early, *rest)), set())
