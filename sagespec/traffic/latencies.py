"""Histograms of latencies: subtracted, added up, asked for a quantile, packed. Pure.

A histogram is how many requests took how long, by the lower bound of Envoy's bucket in milliseconds.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping

from sagespec.gateway.totals import width_of

Histogram = Mapping[float, int]

_PACKED = struct.Struct("<HI")  # the bucket, and its count
_EXPONENTS_BELOW = 64


def since(before: Histogram, now: Histogram) -> dict[float, int]:
    """What has come in between; all of `now` when a count went back, since the gateway then began at zero."""
    if any(now.get(bound, 0) < count for bound, count in before.items()):
        return {bound: count for bound, count in now.items() if count}
    found = {bound: count - before.get(bound, 0) for bound, count in now.items()}
    return {bound: count for bound, count in found.items() if count}


def added(histograms: Iterable[Histogram]) -> dict[float, int]:
    total: dict[float, int] = {}
    for histogram in histograms:
        for bound, count in histogram.items():
            total[bound] = total.get(bound, 0) + count
    return total


def quantile(histogram: Histogram, share: float) -> float | None:
    """The latency that `share` of the requests did not exceed, in milliseconds; None without requests. Inside a bucket
    requests count as evenly spread, so it is within 10 %.

    >>> quantile({20.0: 98, 500.0: 2}, 0.5), quantile({20.0: 98, 500.0: 2}, 0.99), quantile({}, 0.5)
    (20.510204081632654, 505.0, None)
    """
    total = sum(histogram.values())
    if not total:
        return None
    rank, seen = share * total, 0
    for bound in sorted(histogram):
        count = histogram[bound]
        if count and seen + count >= rank:
            return bound + width_of(bound) * max(0.0, rank - seen) / count
        seen += count
    last = max(histogram)
    return last + width_of(last)


def packed(histogram: Histogram) -> bytes:
    """6 bytes a bucket, as `unpacked` reads them."""
    return b"".join(_PACKED.pack(_code(bound), min(histogram[bound], 2**32 - 1)) for bound in sorted(histogram))


def unpacked(content: bytes) -> dict[float, int]:
    return {_bound(code): count for code, count in _PACKED.iter_unpack(content)}


def _code(bound: float) -> int:
    """Of a bucket: its two digits and its power of ten; 0 for the bucket of zero."""
    if bound <= 0:
        return 0
    exponent = math.floor(math.log10(bound) + 1e-9) - 1
    return (exponent + _EXPONENTS_BELOW) * 100 + round(bound / 10.0**exponent)


def _bound(code: int) -> float:
    exponent, digits = divmod(code, 100)
    power = exponent - _EXPONENTS_BELOW
    if not code:
        return 0.0
    return digits * 10.0**power if power >= 0 else digits / 10.0**-power
