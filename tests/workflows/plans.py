"""Plans of a simulated world, and what `sagespec plan` says of them."""

from __future__ import annotations

from typing import Any

from sagespec.plan import Plan
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld

UNREACHABLE = "the store does not answer\n"
JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]


def endpoint(name: str = "churn", weight: int = 10) -> dict[str, Any]:
    variants = [
        {"name": "stable", "model": "churn@1", "weight": 100 - weight},
        {"name": "candidate", "model": "churn@2", "weight": weight},
    ]
    return {"kind": "Endpoint", "name": name, "variants": variants}


def plan_in(world: SimulatedWorld, *documents: dict[str, Any]) -> Plan:
    return world.plan(desired_from(*documents, manifests=world.manifests))


def as_seen_from_elsewhere(world: SimulatedWorld) -> SimulatedWorld:
    """The store's records are in reach; the engine that answers is an empty one."""
    for container in world.containers:
        world.runtime.remove(container.name)
    return world
