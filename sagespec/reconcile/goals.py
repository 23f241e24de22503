"""What an endpoint should become: what its spec says, or what is live.

A roll-back that is asked for goes first. The spec is turned down when it failed before, was rolled back, or names a
model that this plan will not have; then what is live stays, and that is said. `endpoints` works out the steps to
the goal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sagespec.errors import Problem
from sagespec.reconcile.able import why_no_start
from sagespec.reconcile.gates import held_by_gate
from sagespec.reconcile.given import Given
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, JobModel, desired_endpoint
from sagespec.state.hashes import UNTRAINED, same_hash
from sagespec.state.programs import Builtin
from sagespec.state.revision import ModelRecord, Revision, RevisionStatus, RollbackRequest, live_revision
from sagespec.state.secrets import rotated


@dataclass(frozen=True)
class Goal:
    """What the endpoint should be now: its spec, or an earlier revision (`pending` while that is not live yet), or the
    live revision.

    before: what is live. next_number: of the revision that this pass would record. instead_of and reason: of a
    roll-back, which a restart of what it brought back keeps. live_number: of the revision that a roll-back takes back.
    restart_reason: why containers are replaced that nothing else would replace.
    """

    endpoint: DesiredEndpoint
    pending: bool
    before: DesiredEndpoint | None
    next_number: int
    instead_of: str = ""
    reason: str = ""
    live_number: int | None = None
    restart_reason: str = ""

    def is_spec_of(self, desired: DesiredEndpoint) -> bool:
        return same_hash(desired.hash, self.endpoint.hash)


@dataclass(frozen=True)
class Choice:
    """goal: None when there is nothing to serve. problem: why it is not the spec. is_held: that is so on purpose."""

    goal: Goal | None
    problem: Problem | None = None
    is_held: bool = False


def choose_goal(desired: DesiredEndpoint, given: Given) -> Choice:
    revisions = given.observed.revisions.get(desired.name, ())
    live = live_revision(revisions)
    before = desired_endpoint(desired.name, live.asked) if live else None
    number = revisions[-1].number + 1 if revisions else 1
    kept = goal_as_it_is(desired, given)
    if request := _rollback(desired, revisions, given):
        earlier = desired_endpoint(desired.name, request.asked)
        live_number = live.number if live else None
        return Choice(Goal(earlier, True, before, number, request.instead_of, request.as_reason, live_number))
    is_rolling = _is_rolling(desired, given)
    if kept and given.restart_of(desired.address) and not is_rolling and not _is_lost(kept.endpoint, given):
        return Choice(kept)  # what is live is restarted, before its spec is looked at
    if live and kept and _is_as(desired, live, given):
        known = desired if desired.hash == live.hash else replace(kept.endpoint, origin=desired.origin)
        return Choice(replace(kept, endpoint=known))
    if not given.retries(desired.address) and not is_rolling:
        if held := _held(desired, revisions, live):
            return Choice(kept or _once_more(desired, revisions, number), held, is_held=True)
        if failed := _failed(desired, revisions, live, given):
            return Choice(kept, failed)
    if missing := why_no_start(desired, given.observed) or _missing_model(desired, given):
        return Choice(kept, missing)
    if waits_for(desired, given):
        return Choice(kept)
    if not is_rolling and (held := held_by_gate(desired, before, given)):
        return Choice(kept, held)
    return Choice(Goal(desired, True, before, number))


def goal_as_it_is(desired: DesiredEndpoint, given: Given) -> Goal | None:
    """What is live; None for nothing."""
    revisions = given.observed.revisions.get(desired.name, ())
    live = live_revision(revisions)
    return _kept(desired_endpoint(desired.name, live.asked), live, revisions[-1].number + 1) if live else None


def _is_rolling(desired: DesiredEndpoint, given: Given) -> bool:
    """Whether this very spec is on its way, step by step: whether to try it was decided when that began."""
    progress = given.observed.rollout_of(desired.name)
    return progress is not None and same_hash(desired.hash, progress.hash)


def _is_as(desired: DesiredEndpoint, revision: Revision, given: Given) -> bool:
    """Whether the revision is what the spec asks for, with the models that the store has now, and secrets of today."""
    if not same_hash(desired.hash, revision.hash):
        return False
    versions = {variant.name: variant.secrets for variant in revision.asked.variants}
    if any(rotated(versions.get(variant.name, {}), variant.secrets) for variant in desired.variants):
        return False
    had = {variant.name: variant.model for variant in revision.asked.variants}
    return not any(
        isinstance(variant.model, JobModel)
        and _is_of_later_training(variant.model, had.get(variant.name, ModelRecord()), revision, given)
        for variant in desired.variants
    )


def _is_of_later_training(model: JobModel, had: ModelRecord, revision: Revision, given: Given) -> bool:
    """Where a record of an earlier release does not tell the checksum, its time does. What failed before a model was
    there has not been trained again since."""
    if had.sha256 == UNTRAINED:
        return False
    if had.sha256:
        return had.sha256 != model.sha256
    return model.sha256 == UNTRAINED or given.is_trained_since(model.job, revision.ended_at)


def _is_lost(live: DesiredEndpoint, given: Given) -> bool:
    """Whether the store has another training of one of its models: it cannot be started again, and its spec can."""
    models = [variant.model for variant in live.variants if isinstance(variant.model, JobModel)]
    found = ((model.sha256, given.checksum_of(model.job)) for model in models)
    return any(had and has and had != has for had, has in found)


def _kept(before: DesiredEndpoint, live: Revision, number: int) -> Goal:
    """What is live. Where a roll-back brought it back, a restart does not forget that."""
    return Goal(before, False, before, number, live.instead_of, live.reason if live.instead_of else "")


def waits_for(desired: DesiredEndpoint, given: Given) -> tuple[Address, ...]:
    """The jobs that other runs train just now, and that its spec needs: until they have ended, what is live stays."""
    jobs = {variant.job for variant in desired.variants if variant.job}
    return tuple(sorted(j for j in jobs if not given.is_trained(j) and given.is_followed_elsewhere(j)))


def _rollback(desired: DesiredEndpoint, revisions: tuple[Revision, ...], given: Given) -> RollbackRequest | None:
    """The roll-back that is asked for and not done, unless the spec was edited since: that is the later wish."""
    request = given.observed.rollbacks.get(desired.name)
    if request is None or request.is_over(revisions) or not same_hash(desired.hash, request.instead_of):
        return None
    return request


def _held(desired: DesiredEndpoint, revisions: tuple[Revision, ...], live: Revision | None) -> Problem | None:
    """Why this very spec is left aside: it was rolled back, and has not changed since."""
    newest = live or _removed(revisions)  # which remembers it, too
    if newest is None or not newest.instead_of or not same_hash(desired.hash, newest.instead_of):
        return None
    how = newest.reason if newest.reason.startswith("rolled back") else f"rolled back: {newest.reason}"
    return Problem(
        what=f"was {how}" if newest.reason else "was rolled back",
        about=str(desired.address),
        why=(f"revision {live.number} keeps serving; " if live else "") + "its spec has not changed since",
        fix="change the spec, or run `sagespec apply --retry`",
        where=desired.origin,
    )


def _removed(revisions: tuple[Revision, ...]) -> Revision | None:
    return next((r for r in reversed(revisions) if r.status is RevisionStatus.REMOVED), None)


def _once_more(desired: DesiredEndpoint, revisions: tuple[Revision, ...], number: int) -> Goal | None:
    """What a roll-back had brought back before the endpoint was removed; None when that has failed since."""
    removed = _removed(revisions)
    if removed is None or any(r.number > removed.number and r.hash == removed.hash for r in revisions):
        return None
    earlier = desired_endpoint(desired.name, removed.asked)
    return Goal(earlier, True, None, number, removed.instead_of, removed.reason)


def _failed(
    desired: DesiredEndpoint, revisions: tuple[Revision, ...], live: Revision | None, given: Given
) -> Problem | None:
    """Why this very spec is not tried: it has failed since the live one went live."""
    tried = next((r for r in reversed(revisions) if r is live or _is_as(desired, r, given)), None)
    if tried is None or tried.status is not RevisionStatus.FAILED:
        return None
    return Problem(
        what=f"revision {tried.number} failed: {tried.reason}",
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
        if job and isinstance(variant.program, Builtin) and given.left_no_model(job):
            return Problem(
                what=f"variant {variant.name} needs the model of {job}, which left none: nothing in SM_MODEL_DIR",
                about=str(desired.address),
                why="there is nothing to serve",
                fix="let the script save to os.environ['SM_MODEL_DIR'], and train it as another version",
                where=desired.origin,
            )
        if job is None or given.is_trained(job) or given.is_followed_elsewhere(job):
            continue
        if not given.runs_of(job):
            return Problem(
                what=f"variant {variant.name} needs {job}, which is not trained",
                about=str(desired.address),
                why="an endpoint waits for the jobs it names, and keeps serving what it has when one fails",
                fix=f"correct {job}, then apply again",
                where=desired.origin,
            )
    return None
