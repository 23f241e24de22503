"""Jobs whose model was trained elsewhere, and which nothing trains here: it is taken into the store, once.

Called by `jobs` for a job with `imported_from` that has no model yet. What was begun to train is not overwritten.
"""

from __future__ import annotations

from sagespec.causes import Cause, Reason
from sagespec.errors import Problem
from sagespec.plan import ImportModel
from sagespec.reconcile.given import Decision, Given
from sagespec.state.desired import DesiredJob


def imported(job: DesiredJob, given: Given) -> Decision:
    """What to do about it."""
    observed = given.observed
    if job.address in observed.manifests or observed.containers_of(job.address):
        return Decision(refused=(_was_begun(job, given),))
    if problem := observed.unable.get(job.address):
        return Decision(refused=(problem,))
    archive = observed.archives.get(job.address)
    note = f"from {job.imported_from}"
    note += f": {archive}" if archive else ""
    cause = Cause(Reason.NEW, note=note)
    return Decision(actions=(ImportModel(about=job.address, cause=cause, job=job, archive=archive),))


def _was_begun(job: DesiredJob, given: Given) -> Problem:
    return Problem(
        what="its training was begun, so no model is imported in its place",
        about=str(job.address),
        why=f"a version is immutable, so that {job.name}@{job.version} is the same model for everyone",
        fix=f"import it as version: {given.next_version(job.name)}",
        where=job.field_origins.get("imported_from", job.origin),
    )
