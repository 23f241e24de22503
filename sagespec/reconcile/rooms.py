"""What each node has left, where an engine has several: each host of a job has to find room on one of them. Pure.

`turns` asks before it lets a job begin. Which node a host gets is for the engine to choose; those that have none yet
are taken to go where most is left, as a Swarm spreads them. There, what instances of endpoints ask for counts, too: it
is set aside on their nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from sagespec.state.observed import Capacity, Container, NodeCapacity

Resource = Literal["cpus", "memory", "gpus"]
Amounts = Mapping[Resource, float]  # memory in bytes; without resources that are not stated

RESOURCES: tuple[Resource, ...] = ("cpus", "memory", "gpus")
TOLERANCE = 1e-6  # for sums like 0.1 + 0.2


def amounts_of(capacity: Capacity | NodeCapacity) -> dict[Resource, float]:
    return {"cpus": capacity.cpus, "memory": capacity.memory, "gpus": len(capacity.gpus)}


def room_for(of_one: Amounts, free: Amounts) -> int:
    """How many such hosts a node has room for; of_one asks for something."""
    return int(min((max(0.0, free[resource]) + TOLERANCE) // amount for resource, amount in of_one.items()))


@dataclass(frozen=True)
class Rooms:
    """free: of each node, by its name."""

    free: tuple[tuple[str, Amounts], ...]

    @classmethod
    def of(cls, capacity: Capacity) -> Self | None:
        """All of it; None where the engine has no nodes."""
        return cls(tuple((node.name, amounts_of(node)) for node in capacity.nodes)) if capacity.nodes else None

    def without(self, containers: Iterable[Container]) -> Self:
        """What is left beside these."""
        rooms, placeless = self, []
        for container in containers:
            asked = _asked_by(container)
            if not container.node:
                placeless.append(asked)
            elif asked:
                rooms = rooms._without(container.node, asked)
        for asked in placeless:
            rooms = rooms.with_hosts(asked, 1)
        return rooms

    def with_hosts(self, of_one: Amounts, count: int) -> Self:
        """What is left when so many hosts have begun, or as many of them as find room."""
        rooms = self
        for _ in range(count if of_one else 0):
            name, most = max(rooms.free, key=lambda node: _times(of_one, node[1]))
            if not room_for(of_one, most):
                break
            rooms = rooms._without(name, of_one)
        return rooms

    def short(self, of_one: Amounts, count: int) -> frozenset[Resource]:
        """What so many hosts would wait for; nothing if all find room."""
        if not of_one or self.rooms(of_one) >= count:
            return frozenset()
        alone = (resource for resource, amount in of_one.items() if self.rooms({resource: amount}) < count)
        return frozenset(alone) or frozenset(of_one)

    def rooms(self, of_one: Amounts) -> int:
        """How many such hosts find room."""
        return sum(room_for(of_one, free) for _, free in self.free)

    def _without(self, name: str, asked: Amounts) -> Self:
        left = [
            (node, {r: amount - asked.get(r, 0) for r, amount in free.items()} if node == name else free)
            for node, free in self.free
        ]
        return replace(self, free=tuple(left))


def _asked_by(container: Container) -> Amounts:
    of_one: Mapping[Resource, float | None] = {
        "cpus": container.cpus,
        "memory": container.memory,
        "gpus": len(container.gpus),
    }
    return {resource: amount for resource, amount in of_one.items() if amount}


def _times(of_one: Amounts, free: Amounts) -> float:
    """How often the free amounts hold such a host; a part of one counts as a part."""
    return min(free[resource] / amount for resource, amount in of_one.items())
