"""The master asks, the other hosts follow: what each host evaluates, and what each ends with."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from toolkit.hosts import Hosts
from toolkit.solving import Ask, minimise, solve_on_master

NAMES = ("algo-1", "algo-2")


@dataclass(frozen=True)
class Linked(Hosts):
    """Two hosts in two threads; what the master sends waits in a queue for the other."""

    sent: queue.Queue[Any] = field(default_factory=queue.Queue)

    def from_master(self, value: Any) -> Any:
        if self.is_master:
            self.sent.put(value)
            return value
        return self.sent.get(timeout=10)


class Host:
    """Notes what it is asked."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.asked: list[tuple[str, list[float]]] = []

    def loss(self, point: Any) -> Any:
        self.asked.append(("loss", point.tolist()))
        return float(point @ point)

    def slope(self, point: Any) -> Any:
        self.asked.append(("slope", point.tolist()))
        return 2 * point

    def solve(self) -> Any:
        def solver(ask: Ask) -> Any:
            point = np.array([3.0, 4.0])
            while ask(self.loss, point) > 1:
                point = point - ask(self.slope, point) / 4
            return point

        return solve_on_master(self.hosts, (self.loss, self.slope), solver)


def test_other_hosts_evaluate_what_the_master_asks_and_end_at_its_point() -> None:
    sent: queue.Queue[Any] = queue.Queue()
    master, other = (Host(Linked(NAMES, name, sent)) for name in NAMES)
    found: list[Any] = []
    follower = threading.Thread(target=lambda: found.append(other.solve()))
    follower.start()
    solution = master.solve()
    follower.join(10)
    assert solution.tolist() == found[0].tolist() == [0.375, 0.5]
    assert master.asked == other.asked
    assert [name for name, _ in master.asked] == ["loss", "slope"] * 3 + ["loss"]


def test_one_host_asks_itself_alone() -> None:
    assert Host(Hosts(("alone",), "alone")).solve().tolist() == [0.375, 0.5]


def test_solver_ends_when_told_to_and_keeps_what_it_has() -> None:
    epochs: list[int] = []

    def after_epoch(epoch: int) -> bool:
        epochs.append(epoch)
        return epoch == 2

    def loss_and_gradient(point: Any) -> Any:
        return float(np.sum(point**4)), 4 * point**3

    point = minimise(loss_and_gradient, np.array([3.0, 5.0]), epochs=100, after_epoch=after_epoch)
    assert epochs == [0, 1, 2]
    assert loss_and_gradient(point)[0] < loss_and_gradient(np.array([3.0, 5.0]))[0]
