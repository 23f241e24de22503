"""The revision that a rollout is about to become, for `history`: it is recorded when the rollout has ended."""

from __future__ import annotations

from collections.abc import Sequence

from sagespec.parts import Parts
from sagespec.reconcile.standing import percent
from sagespec.reconcile.steps import steps_of
from sagespec.state.desired import desired_endpoint
from sagespec.state.progress import Progress
from sagespec.state.revision import Revision, RevisionStatus, live_revision


def rolling_of(parts: Parts, endpoint_name: str, revisions: Sequence[Revision]) -> Revision | None:
    """None where nothing is under way."""
    progress = parts.leases().look().rollouts.get(endpoint_name)
    if progress is None or progress.is_over(tuple(revisions)):
        return None
    return as_revision(progress, live_revision(tuple(revisions)))


def as_revision(progress: Progress, live: Revision | None) -> Revision:
    """As if it had gone live, with how far it is as the reason."""
    return Revision(
        endpoint=progress.endpoint,
        number=progress.number,
        hash=progress.hash,
        status=RevisionStatus.LIVE,
        asked=progress.asked,
        reason=_standing(progress, live),
        started_at=progress.begun,
    )


def _standing(progress: Progress, live: Revision | None) -> str:
    name = progress.endpoint
    if live is None:
        return f"step {progress.step}"
    steps = steps_of(desired_endpoint(name, progress.asked), desired_endpoint(name, live.asked))
    step = steps[min(progress.step, len(steps)) - 1]
    return f"step {step.number} of {step.steps} ({percent(step.share)})"
