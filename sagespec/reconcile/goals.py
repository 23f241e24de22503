"""What an endpoint should become: what its spec says, or what was live before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sagespec.errors import Problem
from sagespec.plan import (
    RunJob,
)
from sagespec.reconcile.options import Options, Part
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, desired_endpoint
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Observed
from sagespec.state.revision import Revision, RevisionStatus


@dataclass(frozen=True)
class Goal:
    """What the endpoint shall be now: the spec (`pending` when it is not live yet) or the live revision."""

    endpoint: DesiredEndpoint | None
    pending: bool
    problem: Problem | None = None


def choose_goal(
    desired: DesiredEndpoint,
    revisions: tuple[Revision, ...],
    live: Revision | None,
    observed: Observed,
    jobs: Mapping[Address, Part],
    options: Options,
) -> Goal:
    if live and same_hash(desired.hash, live.hash):
        return Goal(desired_endpoint(desired.name, live.asked, desired.origin), pending=False)
    problem = _turned_down(desired, revisions, live, options) or _missing_model(desired, observed, jobs)
    if problem is None:
        return Goal(desired, pending=True)
    return Goal(desired_endpoint(desired.name, live.asked) if live else None, pending=False, problem=problem)


def _turned_down(
    desired: DesiredEndpoint, revisions: tuple[Revision, ...], live: Revision | None, options: Options
) -> Problem | None:
    """Why this very spec is not tried: it has failed since the live one went live, or was rolled back to it."""
    if options.retry:
        return None
    given_up = next((r for r in reversed(revisions) if r is live or same_hash(desired.hash, r.hash)), None)
    if given_up is None:
        return None
    if given_up is live:
        if not (live.instead_of and same_hash(desired.hash, live.instead_of)):
            return None
        what = f"was rolled back to revision {live.number}" + (f": {live.reason}" if live.reason else "")
    elif given_up.status is RevisionStatus.FAILED:
        what = f"revision {given_up.number} failed: {given_up.reason}"
    else:
        return None
    return Problem(
        what=what,
        about=str(desired.address),
        why=(f"revision {live.number} keeps serving; " if live else "")
        + "what was given up is not tried again by itself",
        fix="change the spec, or run `sagespec apply --retry`",
        where=desired.origin,
    )


def _missing_model(desired: DesiredEndpoint, observed: Observed, jobs: Mapping[Address, Part]) -> Problem | None:
    """Why a model of this endpoint cannot be had by this plan; None when all are there or will be made."""
    for variant in desired.variants:
        job = variant.model.job
        if job is None or is_trained(job, observed):
            continue
        part = jobs.get(job)
        if part is None or not any(isinstance(action, RunJob) for action in part.actions):
            return Problem(
                what=f"variant {variant.name} needs {job}, which is not trained",
                about=str(desired.address),
                why="an endpoint waits for the jobs it names, and stays on what it serves when one fails",
                fix=f"mend {job}, then apply again",
                where=desired.origin,
            )
    return None


def is_trained(job: Address, observed: Observed) -> bool:
    manifest = observed.manifests.get(job)
    return manifest is not None and manifest.status is JobStatus.COMPLETED
