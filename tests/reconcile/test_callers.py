"""Who gets which variant where an endpoint is split by a key: what a change moves, and what moves nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagespec.gateway.routes import whole_weights
from sagespec.reconcile.callers import share_moved
from sagespec.state.desired import Desired
from sagespec.state.observed import Route
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld

JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2, 3)]


def specs(*variants: tuple[str, int, float], **fields: Any) -> Desired:
    """variants: name, version of its model, weight."""
    shown = [{"name": name, "model": f"churn@{version}", "weight": weight} for name, version, weight in variants]
    return desired_from(*JOBS, {"kind": "Endpoint", "name": "churn", "variants": shown, **fields})


MOVES = [
    ("stable 90, candidate 10", "stable 80, candidate 20", 0.1),
    ("stable 90, candidate 10", "stable 9, candidate 1", 0.0),
    ("stable 90, candidate 10", "stable 90, candidate 0", 0.1),
    ("stable 90", "stable 90, candidate 10", 0.1),
    ("stable 90, candidate 10", "candidate 10, stable 90", 0.2),
    ("a 1, b 1, c 2", "a 1, c 2", 1 / 4),  # b's callers, and no others
    ("a 1, b 1, c 1, d 1", "a 1, c 1, d 1", 1 / 3),  # b's quarter, and a twelfth from c to d
    ("a 1, b 1, c 2", "a 1, b 1, c 2, d 0", 0.0),
]


def shares(text: str) -> list[tuple[str, float]]:
    return [(part.split()[0], float(part.split()[1])) for part in text.split(", ")]


@pytest.mark.parametrize(("before", "after", "moved"), MOVES)
def test_the_share_of_callers_that_move_follows_from_the_intervals(before: str, after: str, moved: float) -> None:
    assert share_moved(shares(before), shares(after)) == pytest.approx(moved)


Split = st.lists(st.sampled_from("abcde"), min_size=1, unique=True).flatmap(
    lambda names: st.tuples(*(st.tuples(st.just(name), st.integers(1, 50)) for name in names))
)


@given(Split, Split)
def test_it_is_what_envoy_would_do(before: Any, after: Any) -> None:
    """Envoy takes a hash modulo the sum of the weights: every millionth place is tried."""

    def variants(split: Any) -> list[str]:
        weights = whole_weights([weight for _, weight in split])
        ends = [sum(weights[: count + 1]) for count in range(len(weights))]
        places = ((number * sum(weights)) // 1000 for number in range(1000))
        return [next(name for (name, _), end in zip(split, ends, strict=True) if place < end) for place in places]

    moved = sum(old != new for old, new in zip(variants(before), variants(after), strict=True))
    assert moved / 1000 == pytest.approx(share_moved(before, after), abs=0.01)


def test_a_variant_that_comes_or_goes_is_said_with_what_it_moves() -> None:
    key = {"split": {"key": "header x-user"}}
    world = SimulatedWorld()
    world.settle(specs(("a", 1, 50), ("b", 2, 25), ("c", 3, 25), **key))
    gone = world.plan(specs(("a", 1, 50), ("c", 3, 25), **key))
    (routes,) = (action for action in gone.actions if action.verb == "set-routes")
    assert routes.cause.callers_moved == pytest.approx(0.25)
    assert "(25 % of callers change variant)" in gone.text()
    (said,) = (action for action in gone.as_json()["actions"] if action["action"] == "set-routes")
    assert said["cause"]["callers_moved"] == routes.cause.callers_moved
    without = world.plan(specs(("a", 1, 50), ("c", 3, 25)))
    assert all("callers_moved" not in action["cause"] for action in without.as_json()["actions"])


def test_a_route_that_an_earlier_release_has_sorted_is_no_drift() -> None:
    world, wanted = SimulatedWorld(), specs(("stable", 1, 90), ("candidate", 2, 10))
    world.settle(wanted)
    now = world.routes["churn"]
    assert [target.variant for target in now.targets] == ["stable", "candidate"]
    places = {container.name: (container.host, container.port) for container in world.containers}
    world.gateway.set_route("churn", Route("churn", tuple(sorted(now.targets))), places)
    assert world.plan(wanted).actions == ()
    keyed = specs(("stable", 1, 90), ("candidate", 2, 10), split={"key": "header x-user"})
    world.settle(keyed)
    now = world.routes["churn"]
    world.gateway.set_route("churn", replace(now, targets=tuple(sorted(now.targets))), places)
    assert [action.verb for action in world.plan(keyed).actions] == ["set-routes"]


def test_a_rollout_moves_callers_within_their_variant_and_one_way() -> None:
    rollout = {"strategy": "linear", "size": "20%", "wait": "1h", "bake": "1h", "no_requests": "advance"}
    fields = {"rollout": rollout, "split": {"key": "attribute user"}}
    world = SimulatedWorld()
    world.settle(specs(("stable", 1, 70), ("other", 2, 30), **fields))
    wanted = specs(("stable", 3, 70), ("other", 2, 30), **fields)
    seen: list[list[tuple[str, str]]] = []
    for _ in range(8):
        world.settle(wanted, passes=30)
        targets = [target for target in world.routes["churn"].targets if target.instances]
        weights = whole_weights([target.weight for target in targets])
        ends = [sum(weights[: count + 1]) for count in range(len(weights))]
        places = ((number * sum(weights)) // 200 for number in range(200))
        at = [next(t for t, end in zip(targets, ends, strict=True) if place < end) for place in places]
        seen.append([(target.variant, world.models[target.instances[0]]) for target in at])
        world.clock.sleep(timedelta(hours=1, seconds=1).total_seconds())
    callers = list(zip(*seen, strict=True))
    assert all(len({variant for variant, _ in caller}) == 1 for caller in callers)
    for caller in callers:
        models = [model for variant, model in caller if variant == "stable"]
        assert models == sorted(models)  # churn@1, then churn@3, and never back
    assert len({tuple(step) for step in seen}) == 5
