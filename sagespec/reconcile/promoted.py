"""Jobs that another environment trains: their models are copied from there, waited for, or refused.

Called by `jobs` for a job that is not trained here. A version is the same model for everyone, so what is trained there
by another spec is never taken, nor trained here in its place.
"""

from __future__ import annotations

from sagespec.causes import Cause, Reason
from sagespec.errors import Problem
from sagespec.plan import CopyModel
from sagespec.reconcile.causes import changed_fields
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.leaving import remove_containers
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import Manifest

_NOT_TRAINED = "it is not trained, and nothing is trained here"


def promoted(job: DesiredJob, given: Given) -> Decision | None:
    """What to do about it; None where it is to be trained here."""
    containers = given.observed.containers_of(job.address)
    if any(same_hash(job.key, container.hash) for container in containers):
        return None  # its training has begun, before anybody said otherwise
    elsewhere = given.observed.elsewhere
    found = elsewhere.manifests.get(job.address) if elsewhere else None
    if found and not same_hash(job.key, found.key):
        return Decision(refused=(_of_another_spec(job, found, given),))
    if found or (given.models_from and elsewhere is None):
        removals = remove_containers(containers, Reason.FOLLOWS, "left over from another spec of this version")
        note = f"trained in {given.models_from}" if found else f"as soon as {given.models_from} has trained it"
        after = tuple(action.id for action in removals)
        cause = Cause(Reason.NEW, note=note)
        copy = CopyModel(about=job.address, cause=cause, after=after, manifest=found)
        return Decision(actions=(*removals, copy))
    if elsewhere and elsewhere.why_unknown:
        return Decision(refused=(_unknown(job, elsewhere.why_unknown, given),))
    return None if given.trains or job.imported_from else Decision(refused=(_never_trained(job, given),))


def without_spec(desired: Desired, given: Given) -> dict[Address, Decision]:
    """The models that endpoints name by versions which no spec has any more: copied, for nothing could differ."""
    if given.observed.elsewhere is None:
        return {}
    named = {variant.job for endpoint in desired.endpoints for variant in endpoint.variants if variant.job}
    found = given.observed.elsewhere.manifests
    missing = sorted(job for job in named if job in found and job not in given.wanted and not given.is_trained(job))
    cause = Cause(Reason.NEW, note=f"trained in {given.models_from}")
    return {job: Decision((CopyModel(about=job, cause=cause, manifest=found[job]),)) for job in missing}


def _of_another_spec(job: DesiredJob, found: Manifest, given: Given) -> Problem:
    changes = changed_fields(found.key_fields, job.key_fields)
    said = [f"{c.field} is {c.new or 'not set'} here and {c.old or 'not set'} there" for c in changes if not c.secret]
    said += [f"{change.field} differs" for change in changes if change.secret]
    return Problem(
        what=f"{given.models_from} has trained it by another spec: {', '.join(said[:5]) or 'it differs'}",
        about=str(job.address),
        why=f"a version is immutable, so that {job.name}@{job.version} is the same model for everyone",
        fix=f"apply the commit that was trained there, or set version: {given.next_version(job.name)} in both",
        where=job.origin,
    )


def _unknown(job: DesiredJob, reason: str, given: Given) -> Problem:
    return Problem(
        what=f"whether {given.models_from} has trained it cannot be told: {reason}",
        about=str(job.address),
        why="it is not trained here as long as it may be trained there",
        fix=f"if nothing was applied there yet, apply {given.models_from} first; else see that its store answers",
        where=job.origin,
    )


def _never_trained(job: DesiredJob, given: Given) -> Problem:
    there = given.models_from
    return Problem(
        what=f"{there} has not trained it, and nothing is trained here" if there else _NOT_TRAINED,
        about=str(job.address),
        why="the environment says jobs: never",
        fix=f"train it in {there} first, then apply again" if there else "say in models_from where it is trained",
        where=job.origin,
    )
