"""Confidence sequences: between which bounds a rate, a mean or a difference lies, at every look at once. Pure.

An interval of a textbook holds at the one look that was planned. These hold at all of them: the truth ever lies outside
in a share of `alpha` of all cases at most, so one may look, and stop, whenever one likes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from sagespec.evidence.mixtures import Log, best_rho, beta_binomial, boundary, gamma_exponential
from sagespec.evidence.special import root


class Bounds(NamedTuple):
    low: float
    high: float


def rate_bounds(events: float, requests: int, *, alpha: float = 0.05, tightest_at: float | None = None) -> Bounds:
    """Of a rate, or of the mean of values between 0 and 1 that add up to `events`. tightest_at: after how many requests
    they are as tight as can be; of now where None, which is what one wants of a single look.

    >>> low, high = rate_bounds(20, 100)
    >>> round(low, 9), round(high, 9)
    (0.095969266, 0.335923433)
    """
    if not requests:
        return Bounds(0.0, 1.0)
    found, enough = events / requests, math.log(1 / alpha)

    def excess(rate: float) -> float:
        spread = rate * (1 - rate)
        log = beta_binomial(best_rho((tightest_at or requests) * spread, alpha), rate, 1 - rate)
        return log(requests * (found - rate), requests * spread) - enough

    edge = 1e-12
    low = 0.0 if found <= edge or excess(edge) < 0 else root(excess, edge, min(found, 1 - edge))
    high = 1.0 if found >= 1 - edge or excess(1 - edge) < 0 else root(excess, max(found, edge), 1 - edge)
    return Bounds(low, high)


@dataclass(frozen=True)
class Mean:
    """Of values within `width` of each other, one after the other. Tighter than `rate_bounds` where they differ little.

    squares: of how far each was from the mean of those before it.
    """

    low: float = 0.0
    high: float = 1.0
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def after(self, value: float) -> Mean:
        before = self.total / self.count if self.count else (self.low + self.high) / 2
        return replace(
            self, count=self.count + 1, total=self.total + value, squares=self.squares + (value - before) ** 2
        )

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def bounds(self, alpha: float = 0.05, *, tightest_at: int = 1000) -> Bounds:
        """By the empirical Bernstein bound, each side at half of `alpha`."""
        if not self.count:
            return Bounds(self.low, self.high)
        width = self.high - self.low
        log = gamma_exponential(best_rho(tightest_at * width**2 / 16, alpha / 2, one_sided=True), width)
        around = boundary(log, self.squares, alpha / 2) / self.count
        mean = self.total / self.count
        return Bounds(max(self.low, mean - around), min(self.high, mean + around))


@dataclass(frozen=True)
class Side:
    """The control or the candidate: how many values it had, and what they add up to."""

    count: int = 0
    total: float = 0.0


NOTHING = Side()


@dataclass(frozen=True)
class Difference:
    """How much larger the candidate's mean is than the control's: one value after the other, each with the share that
    the candidate had of the two at that moment. The split may change from value to value, and the base rate as well.

    low, high: between which every value lies. least_share: that either of the two ever has, fixed beforehand. noise:
    a guess at the variance of a value, and tightest_at: after how many values the bounds shall be tightest; neither
    touches what they promise. squares: the variance that was used up.
    """

    low: float = 0.0
    high: float = 1.0
    least_share: float = 0.5
    noise: float = 0.16
    tightest_at: int = 1000
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    control: Side = NOTHING
    candidate: Side = NOTHING

    def after(self, value: float, *, is_candidate: bool, share: float) -> Difference:
        side = self.candidate if is_candidate else self.control
        expected = self._expected(self.candidate) - self._expected(self.control)
        off = (value - self._expected(side)) * (1 / share if is_candidate else -1 / (1 - share))
        grown = Side(side.count + 1, side.total + value)
        return replace(
            self,
            count=self.count + 1,
            total=self.total + expected + off,
            squares=self.squares + off * off,
            control=self.control if is_candidate else grown,
            candidate=grown if is_candidate else self.candidate,
        )

    def _expected(self, side: Side) -> float:
        """The mean of a side so far: the middle before anything is known."""
        return side.total / max(side.count, 1) if self.count else (self.low + self.high) / 2

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def p(self, alpha: float = 0.05) -> float:
        """Against "the candidate's mean is not larger"; alpha: at which the bounds are tightest."""
        return min(1.0, math.exp(-self._mixture(alpha)(self.total, self.squares)))

    def bounds(self, alpha: float = 0.05) -> Bounds:
        width = self.high - self.low
        if not self.count:
            return Bounds(-width, width)
        around = boundary(self._mixture(alpha), self.squares, alpha / 2) / self.count
        mean = self.total / self.count
        return Bounds(max(-width, mean - around), min(width, mean + around))

    def _mixture(self, alpha: float) -> Log:
        share, width = self.least_share, self.high - self.low
        spent = self.tightest_at * self.noise * (1 / share + 1 / (1 - share))
        return gamma_exponential(best_rho(spent, alpha / 2, one_sided=True), 2 * width / min(share, 1 - share))
