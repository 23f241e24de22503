"""One sentence about two models: better, worse, or not known yet and about how many requests more. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sagespec.evidence.sequential import Arm, Evidence

Found = Literal["better", "worse", "no difference known"]
MOST_REQUESTS = 100_000_000
SMALLEST_DIFFERENCE = 1.2  # of the two rates, where what was seen is no difference worth waiting for


@dataclass(frozen=True)
class Verdict:
    """found: of the candidate. more: about how many requests of both it takes until it is known; None where it is."""

    found: Found
    more: int | None = None

    @property
    def is_known(self) -> bool:
        return self.found != "no difference known"


def verdict(evidence: Evidence, control: Arm, candidate: Arm, *, alpha: float, more_is_better: bool) -> Verdict:
    """control, candidate: all that was counted, for which way it goes and how fast. More events are better where they
    are rewards, worse where they are errors."""
    if evidence.is_enough(alpha):
        return Verdict("better" if evidence.leans_up == more_is_better else "worse")
    return Verdict("no difference known", requests_more(evidence, control, candidate, alpha=alpha))


def requests_more(evidence: Evidence, control: Arm, candidate: Arm, *, alpha: float) -> int | None:
    """About how many, if what comes is like what came: until the evidence is enough. Where the two have been nearly
    alike, as if one rate were SMALLEST_DIFFERENCE of the other; None without an event to reckon with."""
    requests = control.requests + candidate.requests
    if not control.requests or not candidate.requests or not control.events + candidate.events:
        return None
    base = (control.events + candidate.events) / requests
    rates = [(arm.events + base) / (arm.requests + 1) for arm in (control, candidate)]
    if max(rates) < SMALLEST_DIFFERENCE * min(rates):
        rates = [base, base * SMALLEST_DIFFERENCE]
    share = candidate.requests / requests
    drift = _drift(evidence.ratios, rates[0] * (1 - share), rates[1] * share, share=share)
    if drift <= 0:
        return None
    missing = math.log(1 / alpha) + math.log(len(evidence.ratios)) - max(evidence.log, 0.0)
    return min(math.ceil(max(missing, 1.0) / drift), MOST_REQUESTS)


def _drift(ratios: tuple[float, ...], control: float, candidate: float, *, share: float) -> float:
    """How much the best ratio's evidence grows with a request, at so many events a request on each side."""
    return max(
        candidate * math.log(ratio) - (control + candidate) * math.log1p(share * (ratio - 1)) for ratio in ratios
    )
