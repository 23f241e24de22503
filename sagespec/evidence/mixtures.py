"""Boundaries that a sum of deviations crosses, at whatever time, in a share of `alpha` of all cases at most. Pure.

A mixture says how far the sum `s` of what deviated from the mean, with the variance `v` used up so far, speaks against
"the mean is right": as ln of a supermartingale that begins at 1. Its boundary is where that reaches ln(1/alpha).
From Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sagespec.evidence.special import log_gamma_p, log_gamma_q, log_incomplete_beta, root

Log = Callable[[float, float], float]  # of s and v


def best_rho(v: float, alpha: float, *, one_sided: bool = False) -> float:
    """The mixture's width that makes its boundary tightest once the variance is `v`."""
    log = 2 * math.log(1 / (2 * alpha if one_sided else alpha))
    return v / (log + math.log1p(log))


def two_sided_normal(rho: float) -> Log:
    return lambda s, v: 0.5 * math.log(rho / (v + rho)) + s * s / (2 * (v + rho))


def one_sided_normal(rho: float) -> Log:
    def log(s: float, v: float) -> float:
        below = math.erfc(-s / math.sqrt(2 * (v + rho))) / 2
        return 0.5 * math.log(4 * rho / (v + rho)) + s * s / (2 * (v + rho)) + math.log(below)

    return log


def gamma_exponential(rho: float, c: float) -> Log:
    """For what deviates by `c` at most upwards."""
    first = rho / c**2
    begin = first * math.log(first) - math.lgamma(first) - log_gamma_p(first, first)

    def log(s: float, v: float) -> float:
        a, x = (v + rho) / c**2, (c * s + v + rho) / c**2
        if x <= 0:
            return -math.inf
        return begin + math.lgamma(a) + log_gamma_p(a, x) - a * math.log(x) + x - first

    return log


def gamma_poisson(rho: float, c: float) -> Log:
    first = rho / c**2
    begin = first * math.log(first) - math.lgamma(first) - log_gamma_q(first, first)

    def log(s: float, v: float) -> float:
        x = (v + rho) / c**2
        a = s / c + x
        return begin + math.lgamma(a) + log_gamma_q(a, x) - a * math.log(x) + x - first

    return log


def beta_binomial(rho: float, g: float, h: float, *, one_sided: bool = False) -> Log:
    """For what lies between -g and h."""
    r, end = max(rho - g * h, 1e-3 * g * h), h / (g + h) if one_sided else 1.0

    def beta(s: float, v: float) -> float:
        a, b = (r + v - g * s) / (g * (g + h)), (r + v + h * s) / (h * (g + h))
        return log_incomplete_beta(a, b, end)

    begin = beta(0.0, 0.0)

    def log(s: float, v: float) -> float:
        up, down = (v / h + s) / (g + h), (v / g - s) / (g + h)
        return v / (g * h) * math.log(g + h) - up * math.log(g) - down * math.log(h) + beta(s, v) - begin

    return log


def boundary(log: Log, v: float, alpha: float, *, most: float = math.inf) -> float:
    """How large the sum may get; most: how large it can get at all."""
    enough = math.log(1 / alpha)
    high = min(most, math.sqrt(v) + 1)
    while high < most and log(high, v) < enough:
        high = min(2 * high, most)
    return root(lambda s: log(s, v) - enough, 0.0, high) if log(high, v) >= enough else most


def poly_stitching(v: float, alpha: float, *, v_min: float, c: float, s: float = 1.4, eta: float = 2.0) -> float:
    """A boundary in closed form, not much looser: it grows as the square root of v ln ln v."""
    used = max(v, v_min)
    rest = 1000 ** (1 - s) / (s - 1) + 1000**-s / 2 + s / 12 * 1000 ** (-s - 1)
    zeta = math.fsum(k**-s for k in range(1, 1000)) + rest
    term = s * math.log(math.log(eta * used / v_min)) + math.log(zeta / (alpha * math.log(eta) ** s))
    k1, k2 = (eta**0.25 + eta**-0.25) / math.sqrt(2), (math.sqrt(eta) + 1) / 2
    return math.sqrt(k1 * k1 * used * term + k2 * k2 * c * c * term * term) + k2 * c * term
