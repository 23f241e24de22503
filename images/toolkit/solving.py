"""One solver for the rows of all hosts: the master asks, the other hosts follow.

Only the master's solver decides which point comes next. Solvers on different processors may differ in the last bit,
and hosts that disagree on the number of steps would wait for each other forever. So the master announces every point,
each host evaluates the same function there and adds its rows' share to a sum (`Hosts.sum`), and N hosts take the
steps that one host would take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import minimize

from toolkit.hosts import Hosts
from toolkit.rows import FloatArray

A = TypeVar("A")

NO_QUESTION: Any = ()  # else the function's number and a point
BY_SOLVER = "the solver (L-BFGS over all rows) chooses its own steps"  # why rates and batches have no effect
SOLVED_WHEN_LOSS_CHANGES_LESS_THAN = 1e-12  # relative, from one epoch to the next
SOLVED_WHEN_GRADIENT_IS_BELOW = 1e-8
EVALUATIONS_AN_EPOCH = 20  # at most, on average


@dataclass(frozen=True)
class Ask:
    """`ask(function, point)` on the master: what `function` returns there, evaluated on every host."""

    hosts: Hosts
    functions: Sequence[Callable[[FloatArray], Any]]

    def __call__(self, function: Callable[[FloatArray], A], point: FloatArray) -> A:
        _, announced = self.hosts.from_master((self.functions.index(function), point))
        return function(announced)


def solve_on_master(
    hosts: Hosts, functions: Sequence[Callable[[FloatArray], Any]], solver: Callable[[Ask], FloatArray]
) -> FloatArray:
    """The point that `solver` returns, on every host. It runs on the master and evaluates `functions` by asking."""
    if hosts.is_master:
        solution = solver(Ask(hosts, functions))
        hosts.from_master(NO_QUESTION)
        return hosts.from_master(solution)
    while question := hosts.from_master(NO_QUESTION):
        number, point = question
        functions[number](point)
    return hosts.from_master(np.empty(0))


def minimise(
    loss_and_gradient: Callable[[FloatArray], tuple[float, FloatArray]],
    start: FloatArray,
    *,
    epochs: int,
    after_epoch: Callable[[int], bool],
    is_positive: bool = False,
    past_steps: int = 10,
) -> FloatArray:
    """The point of least loss, by at most `epochs` steps of L-BFGS.

    `after_epoch` is given the epoch's number, from 0, and returns whether to stop. is_positive: no number of the point
    falls below 0. past_steps: how many the solver remembers, each twice the size of a point.
    """
    epoch = 0

    def after_step(_: FloatArray) -> None:
        nonlocal epoch
        must_stop = after_epoch(epoch)
        epoch += 1
        if must_stop:
            raise StopIteration

    result: Any = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(start) if is_positive else None,
        callback=after_step,
        options={
            "maxiter": epochs,
            "maxfun": EVALUATIONS_AN_EPOCH * epochs,
            "maxcor": past_steps,
            "ftol": SOLVED_WHEN_LOSS_CHANGES_LESS_THAN,
            "gtol": SOLVED_WHEN_GRADIENT_IS_BELOW,
        },
    )
    point: FloatArray = result.x
    return point
