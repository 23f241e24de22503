"""How a rollout stands, for people. Called by `rollouts`, `sides` and `take_back`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sagespec.ongoing import Rolling
from sagespec.reconcile.judging import LOOK_EVERY, over_at
from sagespec.reconcile.steps import Step
from sagespec.state.addresses import Address
from sagespec.state.progress import Progress
from sagespec.state.rollout import Tally

MOST_SHARES = 5  # that are listed


def rolling(about: Address, progress: Progress, step: Step, now: datetime, tallies: tuple[Tally, Tally]) -> Rolling:
    """tallies: of the candidate, and of what it replaces."""
    candidate, live = tallies
    ends_at = over_at(progress, step.seconds)
    limit = progress.asked.rollout.timeout
    due = [ends_at, *([progress.begun + timedelta(seconds=limit)] if limit is not None else [])]
    return Rolling(
        about=about,
        number=progress.number,
        step=step.number,
        steps=step.steps,
        share=step.share,
        since=progress.since,
        looks_again_at=min([now + LOOK_EVERY, *(at for at in due if at > now)]),
        text=_text(step, progress, now, candidate, live),
        strategy=progress.asked.rollout.strategy,
        ends_at=ends_at,
        candidate=candidate,
        live=live,
        by=progress.by,
    )


def _text(step: Step, progress: Progress, now: datetime, candidate: Tally, live: Tally) -> str:
    """'2 of 3: 30 % since 2m, 1,204 requests, errors 0.4 % against 0.5 %'."""
    said = f"{step.number} of {step.steps}: {percent(step.share)} since {_age(now - progress.since)}, "
    if not candidate.requests:
        return f"{said}no requests seen"
    seen = "1 request" if candidate.requests == 1 else f"{candidate.requests:,} requests"
    return f"{said}{seen}, errors {_rate(candidate)} against {_rate(live)}"


def steps_ahead(about: Address, steps: Sequence[Step], number: int) -> str:
    """What a rollout that begins is about to do: 'endpoint/churn: revision 2 gets 10 % for 1h, then 100 % for 2h before
    the old containers go: 3h in all; …'."""
    moves, bake = steps[:-1], steps[-1]
    shares = [percent(step.share) for step in moves]
    shown = [*shares[:3], "…", shares[-1]] if len(shares) > MOST_SHARES else shares
    waits = [", ".join(shown), "for", length(moves[0].seconds), *(["each"] if len(moves) > 1 else [])] if moves else []
    first = ", ".join([" ".join(waits), "then "]) if waits else ""
    every = sum(step.seconds for step in steps)
    return (
        f"{about}: revision {number} gets {first}{percent(bake.share)} for {length(bake.seconds)} before the old "
        f"containers go: {length(every)} in all; `sagespec promote {about.name}` and `sagespec abort {about.name}` "
        "end it early"
    )


def length(seconds: float) -> str:
    """'1h 30m'."""
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or f"{seconds:g}s"


def _rate(tally: Tally) -> str:
    return "none" if tally.rate is None else percent(tally.rate)


def percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _age(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    return f"{seconds // 60}m" if seconds < 3600 else f"{seconds // 3600}h {seconds % 3600 // 60}m"


def name_of(step: Step) -> str:
    return f"step {step.number} of {step.steps}"
