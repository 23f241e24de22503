"""The variants of an endpoint compared: what was counted of each, within which bounds it lies, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sagespec.display import Displayed
from sagespec.evidence.bounds import Bounds, rate_bounds
from sagespec.evidence.sequential import Arm
from sagespec.evidence.verdict import Verdict, verdict
from sagespec.frames import frame_of
from sagespec.parts import Parts
from sagespec.spec.compare import Compare
from sagespec.state.counts import Counts
from sagespec.state.desired import desired_endpoint
from sagespec.state.revision import Revision, live_revision
from sagespec.state.rewards import Rewards
from sagespec.state.tally import Tally
from sagespec.traffic.latencies import quantile
from sagespec.verbs.counted import counted_now
from sagespec.verbs.feedback import asked_of, collect
from sagespec.verbs.history import unknown_endpoint
from sagespec.verbs.rewards import Rewarded, reward_verdict, rewarded, rewards_of

BROKEN = 0.001  # p of the split below which the rest is not believed
BY_TARGET = "requests that name their variant (TargetVariant) do that, and so does a client that tries again elsewhere"
STICKY = "callers keep their variant, so a few busy ones count as if they were many: trust a verdict less"


@dataclass(frozen=True)
class Compared:
    """One variant with the model that it serves now. share_asked: of the requests, by the weights; share_seen: as they
    came since the weights were last changed. bounds: of rates and means, at the comparison's alpha, valid at every
    look. verdict: None for the control, and where there is nothing to compare."""

    variant: str
    model: str
    target: str
    counts: Counts
    share_asked: float
    share_seen: float | None
    error_bounds: Bounds
    p50_ms: float | None
    p99_ms: float | None
    rewarded: Rewarded
    errors_verdict: Verdict | None = None
    reward_verdict: Verdict | None = None

    @property
    def error_rate(self) -> float | None:
        return self.counts.errors / self.counts.requests if self.counts.requests else None

    def as_json(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "model": self.model,
            "requests": self.counts.requests,
            "errors": self.counts.errors,
            "error_rate": self.error_rate,
            "error_rate_bounds": list(self.error_bounds),
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "rewards": self.rewarded.count,
            "reward": self.rewarded.mean,
            "reward_bounds": list(self.rewarded.bounds) if self.rewarded.count else None,
            "share_asked": self.share_asked,
            "share_seen": self.share_seen,
            "errors_verdict": _verdict_json(self.errors_verdict),
            "reward_verdict": _verdict_json(self.reward_verdict),
        }


def _verdict_json(found: Verdict | None) -> dict[str, Any] | None:
    return {"found": found.found, "more_requests": found.more} if found else None


@dataclass(frozen=True, repr=False)
class Comparison(Displayed):
    """split_p: whether requests came as the weights say; small where they did not. sentences: what all of it comes to,
    one for each candidate. notes: what to bear in mind."""

    endpoint: str
    revision: int
    control: str
    alpha: float
    variants: tuple[Compared, ...]
    split_p: float
    sentences: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def is_split_broken(self) -> bool:
        return self.split_p < BROKEN

    @property
    def is_split_judged(self) -> bool:
        return len(self.variants) > 1 and STICKY not in self.notes

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/compare.md."""
        return {
            "endpoint": self.endpoint,
            "revision": self.revision,
            "control": self.control,
            "alpha": self.alpha,
            "split_p": self.split_p,
            "is_split_broken": self.is_split_broken,
            "variants": [variant.as_json() for variant in self.variants],
            "verdict": list(self.sentences),
            "notes": list(self.notes),
        }

    def frame(self) -> Any:
        """A data frame of pandas with a row for each variant."""
        return frame_of([variant.as_json() for variant in self.variants])


def compare(parts: Parts, endpoint_name: str) -> Comparison:
    """By what was counted up to now. WorldError where the endpoint has never been applied."""
    revisions = parts.records.revisions([endpoint_name]).get(endpoint_name, ())
    live = live_revision(revisions)
    if live is None:
        raise unknown_endpoint(parts, endpoint_name, "is not live")
    collect(parts)
    tally, asked = counted_now(parts, endpoint_name), asked_of(parts, endpoint_name)
    found = comparison(live, tally, asked, rewards_of(parts, endpoint_name))
    progress = parts.leases().look().rollouts.get(endpoint_name)
    if progress is None or progress.is_over(revisions):
        return found
    note = f"revision {progress.number} is being rolled out: `sagespec status` has its figures beside these"
    return replace(found, notes=(*found.notes, note))


def comparison(live: Revision, tally: Tally, asked: Compare, rewards: Rewards) -> Comparison:
    variants = _compared(live, tally, asked, rewards)
    control = _control(variants, asked)
    judge = partial(
        _judged, control=control, tally=tally, rewards=rewards, alpha=asked.level / max(len(variants) - 1, 1)
    )
    judged = tuple(judge(one) for one in variants)
    split_p = tally.ratio.as_sample_ratio().p
    sticky = bool(live.asked.split.key)
    if split_p < BROKEN and not sticky:
        sentences = [f"requests do not come as the weights say (p {split_p:.1g}), so nothing follows: {BY_TARGET}"]
    else:
        sentences = [sentence(one, control) for one in judged if one.variant != control.variant]
    return Comparison(
        endpoint=live.endpoint,
        revision=live.number,
        control=control.variant,
        alpha=asked.level,
        variants=judged,
        split_p=1.0 if sticky else split_p,
        sentences=tuple(sentences) or ("there is nothing to compare with: it has one variant",),
        notes=tuple(_notes(rewards, is_sticky=sticky)),
    )


def _notes(rewards: Rewards, *, is_sticky: bool) -> Iterator[str]:
    if is_sticky:
        yield STICKY
    if rewards.unknown:
        one = rewards.unknown == 1
        several = "reward was for a prediction that is" if one else "rewards were for predictions that are"
        yield f"{rewards.unknown:,} {several} not known, or had one already"
    if rewards.refused:
        yield f"{rewards.refused:,} lines of feedback that came through the gateway could not be used"


def _compared(live: Revision, tally: Tally, asked: Compare, rewards: Rewards) -> tuple[Compared, ...]:
    wanted = desired_endpoint(live.endpoint, live.asked)
    total = sum(variant.weight for variant in wanted.variants) or 1.0
    seen: Mapping[str, int] = tally.ratio.counts
    rewards_by_target = rewarded(rewards, asked)
    came, found = sum(seen.values()), []
    for variant, record in zip(wanted.variants, live.asked.variants, strict=True):
        target = tally.target_of(f"{variant.name}/{variant.hash}")
        counts = tally.targets.get(target, Counts())
        errors = min(counts.errors, counts.requests)
        found.append(
            Compared(
                variant=variant.name,
                model=record.model.text,
                target=target,
                counts=counts,
                share_asked=variant.weight / total,
                share_seen=seen[target] / came if came and target in seen else None,
                error_bounds=rate_bounds(errors, counts.requests, alpha=asked.level),
                p50_ms=quantile(counts.latencies, 0.5),
                p99_ms=quantile(counts.latencies, 0.99),
                rewarded=rewards_by_target.get(target, Rewarded()),
            )
        )
    return tuple(found)


def _control(variants: Sequence[Compared], asked: Compare) -> Compared:
    """By name; the first one where the spec names none, or one that is not live."""
    named = (one for one in variants if asked.control and one.variant.lower() == asked.control.lower())
    return next(named, variants[0])


def _judged(one: Compared, *, control: Compared, tally: Tally, rewards: Rewards, alpha: float) -> Compared:
    """alpha: of this candidate, since several share the level. Where there are rewards, they and failures share it."""
    if one is control:
        return one
    of_rewards = reward_verdict(rewards, control.target, one.target, alpha / 2)
    arms = [Arm(side.counts.requests, min(side.counts.errors, side.counts.requests)) for side in (control, one)]
    evidence = tally.pair(control.target, one.target)
    of_errors = verdict(evidence, *arms, alpha=alpha / 2 if of_rewards else alpha, more_is_better=False)
    return replace(one, errors_verdict=of_errors, reward_verdict=of_rewards)


def sentence(one: Compared, control: Compared) -> str:
    """What is known of a candidate. More failures weigh more than better rewards."""
    name, other = one.variant, control.variant
    errors, reward = one.errors_verdict, one.reward_verdict
    if errors and errors.found == "worse":
        return f"{name} is worse than {other}: it fails more often"
    if reward and reward.is_known:
        how = "higher" if reward.found == "better" else "lower"
        return f"{name} is {reward.found} than {other}: its rewards are {how}"
    if errors and errors.found == "better":
        return f"{name} is better than {other}: it fails less often"
    waiting = [found.more for found in (errors, reward) if found and found.more]
    if not one.counts.requests or not control.counts.requests:
        return f"not known yet whether {name} is better or worse than {other}: one of them has had no requests"
    more = f"about {rounded(min(waiting)):,} more requests" if waiting else "no failure or reward to go by so far"
    return f"not known yet whether {name} is better or worse than {other}: {more}"


def rounded(count: int) -> int:
    """To two digits: it is a guess.

    >>> rounded(12345), rounded(7)
    (12000, 7)
    """
    unit = int(10 ** max(len(str(count)) - 2, 0))
    return round(count / unit) * unit
