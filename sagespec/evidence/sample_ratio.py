"""Whether requests were split as the weights say: where not, comparing the sides is worthless. Pure.

The multinomial test of Lindon and Malek (arXiv 2011.03567), at every look. Weights may change from look to look: what
was counted under the same weights is one stretch, judged against them, and the evidence of all stretches adds up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

STRENGTH = 100.0  # of the alternative: how near to the weights a broken split is thought to lie


def log_bayes_factor(counts: Mapping[str, int], shares: Mapping[str, float], prior: Mapping[str, float]) -> float:
    """ln of how much likelier the counts are under "some other split" than under `shares`.

    >>> round(log_bayes_factor({"a": 0, "b": 3}, {"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.1}), 6)
    3.650658
    """
    whole, total = math.fsum(prior.values()), sum(counts.values())
    terms = [
        math.lgamma(prior[name] + count) - math.lgamma(prior[name]) - (count * math.log(shares[name]) if count else 0.0)
        for name, count in counts.items()
    ]
    return math.lgamma(whole) - math.lgamma(whole + total) + math.fsum(terms)


@dataclass(frozen=True)
class SampleRatio:
    """What all looks together say. shares, counts: of the present stretch. earlier: of all stretches before it.
    highest: of `log` at any look so far."""

    shares: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    earlier: float = 0.0
    highest: float = 0.0

    @property
    def log(self) -> float:
        prior = {name: STRENGTH * share for name, share in self.shares.items()}
        return self.earlier + log_bayes_factor(self.counts, self.shares, prior)

    @property
    def p(self) -> float:
        """The p-value against "split as the weights say", valid at every look."""
        return min(1.0, math.exp(-self.highest))

    def after(self, counts: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
        """With one more look: what came since the last one, while the weights gave these shares. A side without a
        share is left out: only requests that name it reach it."""
        expected = {name: share for name, share in shares.items() if share > 0}
        came = {name: counts.get(name, 0) for name in expected}
        if len(expected) < 2 or not any(came.values()):
            return self
        same = expected.keys() == self.shares.keys() and all(
            math.isclose(share, self.shares[name]) for name, share in expected.items()
        )
        if same:
            new = replace(self, counts={name: self.counts[name] + count for name, count in came.items()})
        else:
            new = replace(self, shares=expected, counts=came, earlier=self.log if self.counts else 0.0)
        return replace(new, highest=max(self.highest, new.log))
