"""Whether a candidate's events come more often than a control's, judged as often as one likes. Pure.

Events are whatever can be counted: errors, slow answers, rewards. For each ratio r of a grid, a look multiplies the
likelihood that the candidate's rate is r times the control's, relative to "no difference", into L_r. Given the events
of a look, how many fall on the candidate is hypergeometric under "no difference", and E[r**k] of that is at most that
of a binomial with the same share (Hoeffding 1963). So the mean E of the L_r is a supermartingale of mean 1 at most, and
by Ville's inequality it ever reaches 1/alpha with a probability of alpha at most: at any look, however often, however
the split between the two changes from look to look.

What it assumes: within a look, requests are alike for both. Callers that stick to a model and ask very unequally often
are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)  # a candidate's rate as a multiple of the control's
EITHER = (1 / 3, 1 / 2, 2 / 3, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0)


class Arm(NamedTuple):
    """One side in one look: requests that were answered or given up, and how many of them were events."""

    requests: int
    events: int


@dataclass(frozen=True)
class Values:
    """One side in one look: how many values, each between 0 and 1, and what they add up to."""

    count: int
    total: float


@dataclass(frozen=True)
class Evidence:
    """What all looks together say. logs: ln L_r for each of `ratios`. highest: of `log` at any look so far."""

    ratios: tuple[float, ...] = WORSE
    logs: tuple[float, ...] = ()
    highest: float = 0.0

    @property
    def log(self) -> float:
        """ln E, by now. Against "no difference" when it is high."""
        logs = self.logs or (0.0,) * len(self.ratios)
        most = max(logs)
        return most + math.log(math.fsum(math.exp(one - most) for one in logs)) - math.log(len(logs))

    @property
    def p(self) -> float:
        """The p-value, valid at every look: at most 1, and never larger than it was."""
        return min(1.0, math.exp(-self.highest))

    @property
    def leans_up(self) -> bool:
        """Whether it speaks for a higher rate of the candidate, rather than a lower one."""
        best = max(zip(self.logs or (0.0,) * len(self.ratios), self.ratios, strict=True))
        return best[1] > 1

    def is_enough(self, alpha: float) -> bool:
        """Whether the two differ, with a false alarm in a share of at most `alpha` of all endless comparisons."""
        return self.highest >= math.log(1 / alpha)

    def after(self, control: Arm, candidate: Arm) -> Evidence:
        """With one more look: what was counted since the last one.

        >>> round(Evidence().after(Arm(90, 0), Arm(10, 3)).log, 9)
        4.565654719
        """
        requests, events = control.requests + candidate.requests, control.events + candidate.events
        if not requests or not events:
            return self
        share = candidate.requests / requests
        logs = tuple(
            log + candidate.events * math.log(ratio) - events * math.log1p(share * (ratio - 1))
            for ratio, log in zip(self.ratios, self.logs or (0.0,) * len(self.ratios), strict=True)
        )
        new = replace(self, logs=logs)
        return replace(new, highest=max(self.highest, new.log))

    def after_alone(self, rate: float, candidate: Arm) -> Evidence:
        """With one more look in which only the candidate was asked, held against a rate that is known. E[r**k] of a
        binomial is (1 + rate(r - 1))**n, so this is a martingale where the rate is the candidate's own.

        >>> round(Evidence().after_alone(0.01, Arm(10, 3)).log, 9)
        5.93908986
        """
        logs = tuple(
            log + candidate.events * math.log(ratio) - candidate.requests * math.log1p(rate * (ratio - 1))
            for ratio, log in zip(self.ratios, self.logs or (0.0,) * len(self.ratios), strict=True)
        )
        new = replace(self, logs=logs)
        return replace(new, highest=max(self.highest, new.log))

    def after_values(self, control: Values, candidate: Values) -> Evidence:
        """With one more look at values between 0 and 1 that need not be one or the other, such as rewards.

        Given the values of a look, the candidate's are drawn from them without replacement under "no difference", and
        E[r**sum] is at most that of as many drawn with replacement, which a straight line bounds: r**x <= 1 + x(r - 1).
        """
        count, total = control.count + candidate.count, control.total + candidate.total
        if not control.count or not candidate.count or not total:
            return self
        logs = tuple(
            log + candidate.total * math.log(ratio) - candidate.count * math.log1p(total / count * (ratio - 1))
            for ratio, log in zip(self.ratios, self.logs or (0.0,) * len(self.ratios), strict=True)
        )
        new = replace(self, logs=logs)
        return replace(new, highest=max(self.highest, new.log))
