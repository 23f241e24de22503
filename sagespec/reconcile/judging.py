"""Whether a rollout is to be taken back, by what has been counted of both sides.

Called by `rollouts` with the counters of now. A comparison (`worse`) is a sequential test: each look at which something
has happened multiplies into its evidence once, which is why such a look is written down before the next one. A bound is
held against all that was counted since the step began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from typing import NamedTuple

from sagespec.evidence.bounds import rate_bounds
from sagespec.evidence.sequential import Arm
from sagespec.spec.rollout import AbortRule, parse_percent
from sagespec.state.counts import Counted, Counts, Reading
from sagespec.state.observed import Route
from sagespec.state.progress import Log, Progress
from sagespec.state.rollout import Tally

LOOK_EVERY = timedelta(seconds=10)  # written down that often at most, unless there were errors
SHARES = {"p50": 0.5, "p99": 0.99}
LEAST_LIKELY = 0.02  # that the true rate of what is live lies outside of its bounds, above or below
LEAST_TO_COMPARE = 100  # requests of what is live, before it is known how slow is slow


class Pair(NamedTuple):
    """Targets that are compared: of the candidate, and those they replace."""

    control: tuple[str, ...]
    candidate: tuple[str, ...]


def pairs_of(live: Route, candidate: Route) -> tuple[Pair, ...]:
    """Variant by variant, so that a variant that fails more often than others misleads nobody. What replaces nothing is
    compared with all that goes, or with all that is live."""
    of_live = {f"{t.variant}/{t.hash}": t.variant for t in live.targets}
    of_candidate = {f"{t.variant}/{t.hash}": t.variant for t in candidate.targets}
    old = {target: variant for target, variant in of_live.items() if target not in of_candidate}
    found = []
    for target, variant in of_candidate.items():
        if target in of_live:
            continue
        same = tuple(other for other, of in old.items() if of == variant)
        found.append(Pair(same or tuple(old) or tuple(of_live), (target,)))
    return _apart(found)


def _apart(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Pairs that share a control are one: what was counted once may speak only once."""
    found: list[Pair] = []
    for pair in pairs:
        together = [one for one in found if not set(one.control).isdisjoint(pair.control)]
        found = [one for one in found if one not in together]
        controls, candidates = ([target for one in (*together, pair) for target in one[side]] for side in (0, 1))
        found.append(Pair(tuple(dict.fromkeys(controls)), tuple(candidates)))
    return tuple(found)


def looked_again(
    progress: Progress, reading: Reading, pairs: tuple[Pair, ...], now: datetime, *, is_over: bool
) -> Progress | None:
    """The progress with what has been counted since it was written, to be written; None where that may wait.

    is_over: whether the step is, so that it is written in any case.
    """
    counted, is_another = progress.counted.after(reading), progress.counted.is_of_another(reading)
    if counted == progress.counted or not (is_over or is_another or _is_due(progress, counted, now)):
        return None
    evidence = dict(progress.evidence)
    for measure in {rule.measure for rule in progress.asked.rollout.rules if rule.bound is None}:
        evidence[measure] = _after(evidence.get(measure, Log()), measure, progress, counted, pairs)
    new = {"counted": counted, "looked_at": now, "evidence": evidence}
    return progress.model_copy(update=new | ({"gateway_since": now} if is_another else {}))


def over_at(progress: Progress, seconds: float) -> datetime:
    """When a step of so many seconds is over. What the gateway had counted when it died nobody knows: then the next one
    is to see something of the step, too."""
    end = progress.since + timedelta(seconds=seconds)
    if progress.gateway_since is None:
        return end
    return max(end, progress.gateway_since + min(timedelta(seconds=seconds), LOOK_EVERY))


def counting(progress: Progress, reading: Reading) -> Progress:
    """The progress with the numbers of now, to be shown and held against bounds."""
    return progress.model_copy(update={"counted": progress.counted.after(reading)})


def _is_due(progress: Progress, counted: Counted, now: datetime) -> bool:
    errors = (counted.of(target).since(progress.counted.of(target)).errors for target in counted.targets)
    return any(errors) or progress.looked_at is None or now - progress.looked_at >= LOOK_EVERY


def _after(log: Log, measure: str, progress: Progress, counted: Counted, pairs: tuple[Pair, ...]) -> Log:
    evidence = log.evidence
    for pair in pairs:
        slow = _slow(measure, progress, pair) if measure in SHARES else None
        if measure in SHARES and slow is None:
            continue
        control, candidate = (
            _arm(_sum(counted.of(t).since(progress.counted.of(t)) for t in targets), slow)
            for targets in (pair.control, pair.candidate)
        )
        if control.requests or slow is not None:
            evidence = evidence.after(control, candidate)
        elif rate := _rate_before(progress, pair):
            evidence = evidence.after_alone(rate, candidate)
    return Log.of(evidence)


def _rate_before(progress: Progress, pair: Pair) -> float | None:
    """Errors per request of what is live, in all that was counted before its traffic went to the candidate: as many as
    that may mean, or else what few requests left open would take back a model that is as good. None after too few."""
    before = _sum(progress.counted.of(target) for target in pair.control)
    if before.requests < LEAST_TO_COMPARE:
        return None
    return rate_bounds(min(before.errors, before.requests), before.requests, alpha=LEAST_LIKELY).high


def _slow(measure: str, progress: Progress, pair: Pair) -> float | None:
    """Above which bucket a request counts as slow: as few of the control's were until the last look."""
    before = _sum(progress.since_begin(target) for target in pair.control)
    if sum(before.latencies.values()) < LEAST_TO_COMPARE:
        return None
    return quantile(before.latencies, SHARES[measure])


def _arm(counts: Counts, slow: float | None) -> Arm:
    if slow is None:
        return Arm(counts.requests, min(counts.errors, counts.requests))
    requests = sum(counts.latencies.values())
    return Arm(requests, sum(count for bound, count in counts.latencies.items() if bound > slow))


def why_worse(progress: Progress, pairs: tuple[Pair, ...]) -> str:
    """Why it is to be taken back, with the numbers of both sides; '' if it is not."""
    for rule in progress.asked.rollout.rules:
        if why := _why_compared(rule, progress, pairs) if rule.bound is None else _why_above(rule, progress, pairs):
            return why
    return ""


def _why_compared(rule: AbortRule, progress: Progress, pairs: tuple[Pair, ...]) -> str:
    evidence = progress.evidence.get(rule.measure, Log()).evidence
    if not evidence.is_enough(parse_percent(rule.alpha)):
        return ""
    candidate, live = tallies(progress, pairs)
    when = ""
    if not live.requests:  # all of its traffic was gone from the first step on
        ever = _sum(progress.counted.of(target) for target in sorted({t for pair in pairs for t in pair.control}))
        live, when = Tally(requests=ever.requests, errors=ever.errors), " before"
    if rule.measure in SHARES:
        slower = [f"{quantile(c.latencies, SHARES[rule.measure]):g} ms" for c in _both(progress, pairs)]
        return f"{rule.measure} {slower[0]} against {slower[1]}: worse (p {evidence.p:.2g})"
    new, old = percent_text(candidate), percent_text(live)
    return (
        f"errors {new} ({candidate.errors:,} of {candidate.requests:,}) against {old} ({live.errors:,} of "
        f"{live.requests:,}){when}: worse (p {evidence.p:.2g})"
    )


def _both(progress: Progress, pairs: tuple[Pair, ...]) -> tuple[Counts, Counts]:
    """Of the candidate and of what it replaces, since the rollout began."""
    sides = ({t for pair in pairs for t in pair.candidate}, {t for pair in pairs for t in pair.control})
    candidate, live = (_sum(progress.since_begin(target) for target in sorted(side)) for side in sides)
    return candidate, live


def _why_above(rule: AbortRule, progress: Progress, pairs: tuple[Pair, ...]) -> str:
    assert rule.bound is not None
    counts = _sum(progress.since_step(target) for pair in pairs for target in pair.candidate)
    if counts.requests < rule.requests:
        return ""
    if rule.measure not in SHARES:
        tally = Tally(requests=counts.requests, errors=counts.errors)
        return f"errors {rate_text(tally)}, more than {rule.bound * 100:g} %" if (tally.rate or 0) > rule.bound else ""
    time = quantile(counts.latencies, SHARES[rule.measure])
    is_above = time is not None and time > rule.bound * 1000
    return f"{rule.measure} {time:g} ms, more than {rule.bound * 1000:g} ms" if is_above else ""


def tallies(progress: Progress, pairs: tuple[Pair, ...]) -> tuple[Tally, Tally]:
    """What came to the candidate, and to what it replaces, since the rollout began."""
    candidate, live = (Tally(requests=one.requests, errors=one.errors) for one in _both(progress, pairs))
    return candidate, live


def requests_in_step(progress: Progress, pairs: tuple[Pair, ...]) -> int:
    return sum(progress.since_step(target).requests for pair in pairs for target in pair.candidate)


def quantile(latencies: Mapping[float, int], share: float) -> float | None:
    """The lower bound of the bucket, in milliseconds, that so many of the requests did not exceed; None without any."""
    total, seen = sum(latencies.values()), 0
    for bound in sorted(latencies):
        seen += latencies[bound]
        if seen >= share * total:
            return bound
    return None


def rate_text(tally: Tally) -> str:
    """'4.8 % (12 of 250)'."""
    return f"{percent_text(tally)} ({tally.errors:,} of {tally.requests:,})"


def percent_text(tally: Tally) -> str:
    return f"{tally.rate or 0:.2%}".replace("%", " %")


def _sum(counts: Iterable[Counts]) -> Counts:
    return reduce(Counts.plus, counts, Counts())
