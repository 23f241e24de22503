"""What an endpoint should become: what its spec says, or what is live.

The spec is turned down when it failed before, was rolled back, or names a model that this plan will not have; then
what is live stays, and the problem is reported. `endpoints` works out the steps to the goal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sagespec.errors import Problem
from sagespec.reconcile.given import Given
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, desired_endpoint
from sagespec.state.hashes import same_hash
from sagespec.state.revision import Revision, RevisionStatus, live_revision


@dataclass(frozen=True)
class Goal:
    """What the endpoint should be now: its spec (`pending` when that is not live yet) or the live revision.

    before: what is live. next_number: of the revision that this pass would record.
    """

    endpoint: DesiredEndpoint
    pending: bool
    before: DesiredEndpoint | None
    next_number: int

    def is_spec_of(self, desired: DesiredEndpoint) -> bool:
        return same_hash(desired.hash, self.endpoint.hash)


def choose_goal(desired: DesiredEndpoint, given: Given) -> tuple[Goal | None, Problem | None]:
    """The goal, None when there is nothing to serve; and why it is not the spec, when it is not."""
    revisions = given.observed.revisions.get(desired.name, ())
    live = live_revision(revisions)
    before = desired_endpoint(desired.name, live.asked) if live else None
    number = revisions[-1].number + 1 if revisions else 1
    if live and before and same_hash(desired.hash, live.hash):
        return Goal(replace(before, origin=desired.origin), False, before, number), None
    problem = None if given.options.retries(desired.address) else _turned_down(desired, revisions, live)
    problem = problem or _missing_model(desired, given)
    if problem is None and not waits_for(desired, given):
        return Goal(desired, True, before, number), None
    return Goal(before, False, before, number) if before else None, problem


def waits_for(desired: DesiredEndpoint, given: Given) -> tuple[Address, ...]:
    """The jobs that other runs train just now, and that its spec needs: until they have ended, what is live stays."""
    jobs = {variant.job for variant in desired.variants if variant.job}
    return tuple(sorted(j for j in jobs if not given.is_trained(j) and given.is_followed_elsewhere(j)))


def _turned_down(desired: DesiredEndpoint, revisions: tuple[Revision, ...], live: Revision | None) -> Problem | None:
    """Why this very spec is not tried: it has failed since the live one went live, or was rolled back to it."""
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
        + "a spec that was given up is not retried automatically",
        fix="change the spec, or run `sagespec apply --retry`",
        where=desired.origin,
    )


def _missing_model(desired: DesiredEndpoint, given: Given) -> Problem | None:
    """Why a model of this endpoint cannot be had by this plan; None when all are there or will be made."""
    for variant in desired.variants:
        job = variant.job
        if job is None or given.is_trained(job) or given.is_followed_elsewhere(job):
            continue
        if not given.runs_of(job):
            return Problem(
                what=f"variant {variant.name} needs {job}, which is not trained",
                about=str(desired.address),
                why="an endpoint waits for the jobs it names, and keeps serving what it has when one fails",
                fix=f"fix {job}, then apply again",
                where=desired.origin,
            )
    return None
