"""Functions of mathematics that Python's own library lacks: incomplete gamma and beta, as logarithms. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

_TINY, _CLOSE, _MOST_TERMS = 1e-300, 1e-16, 100_000


def log_gamma_p(a: float, x: float) -> float:
    """ln of the share of the gamma function at `a` that lies below `x`.

    >>> round(math.exp(log_gamma_p(1.0, 2.0)), 12) == round(1 - math.exp(-2), 12)
    True
    """
    if x <= 0:
        return -math.inf
    return _log_gamma_series(a, x) if x < a + 1 else math.log1p(-math.exp(_log_gamma_fraction(a, x)))


def log_gamma_q(a: float, x: float) -> float:
    """ln of the share that lies above `x`."""
    if x <= 0:
        return 0.0
    return math.log1p(-math.exp(_log_gamma_series(a, x))) if x < a + 1 else _log_gamma_fraction(a, x)


def log_incomplete_beta(a: float, b: float, x: float) -> float:
    """ln of the beta function at a and b, as far as it lies below `x`: all of it at 1.

    >>> round(math.exp(log_incomplete_beta(2.0, 3.0, 1.0)), 12) == round(1 / 12, 12)
    True
    """
    whole = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    if x >= 1:
        return whole
    if x > (a + 1) / (a + b + 2):
        above = _log_below(b, a, 1 - x) - whole
        return whole + math.log1p(-math.exp(above))
    return _log_below(a, b, x)


def _log_below(a: float, b: float, x: float) -> float:
    return a * math.log(x) + b * math.log1p(-x) - math.log(a) + math.log(_beta_fraction(a, b, x))


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where `function` crosses zero between the two: by halving, as near as numbers allow."""
    below = function(low) < 0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if (function(middle) < 0) == below:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _log_gamma_series(a: float, x: float) -> float:
    term = total = 1 / a
    for number in range(1, _MOST_TERMS):
        term *= x / (a + number)
        total += term
        if term < total * _CLOSE:
            break
    return a * math.log(x) - x - math.lgamma(a) + math.log(total)


def _log_gamma_fraction(a: float, x: float) -> float:
    """Lentz's way through the continued fraction."""
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for number in range(1, _MOST_TERMS):
        step = -number * (number - a)
        b += 2
        d = 1 / _away(step * d + b)
        c = _away(b + step / c)
        value *= d * c
        if abs(d * c - 1) < _CLOSE * 4:
            break
    return a * math.log(x) - x - math.lgamma(a) + math.log(value)


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for number in range(1, _MOST_TERMS):
        even = number * (b - number) * x / ((a + 2 * number - 1) * (a + 2 * number))
        odd = -(a + number) * (a + b + number) * x / ((a + 2 * number) * (a + 2 * number + 1))
        for step in (even, odd):
            d = 1 / _away(1 + step * d)
            c = _away(1 + step / c)
            value *= d * c
        if abs(d * c - 1) < _CLOSE * 4:
            break
    return value


def _away(value: float) -> float:
    """From zero, which nothing can be divided by."""
    return value if abs(value) > _TINY else _TINY
