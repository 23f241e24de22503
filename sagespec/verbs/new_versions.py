"""Which versions a plan would train for the first time, and what each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sagespec.causes import Reason
from sagespec.parts import Parts
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.jobs import changes_since
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.revision import Revision, live_revision
from sagespec.verbs.edited import DataNow
from sagespec.versions import NewVersion

Manifests = Mapping[Address, Manifest]
Revisions = Mapping[str, tuple[Revision, ...]]


def with_versions(plan: Plan, parts: Parts, revisions: Revisions, known: Manifests | None = None) -> Plan:
    """known: manifests of the versions before; read from the store where there are none, if the plan asks for it."""
    jobs = _new_jobs(plan)
    if not jobs:
        return plan
    known = _earlier(parts, jobs) if known is None else known
    data = DataNow(parts.root, waits=parts.waits)
    found = ((job, _before(job, known)) for job in jobs)
    return replace(
        plan,
        versions=tuple(_described(job, before, revisions, data) for job, before in found if before),
    )


def _new_jobs(plan: Plan) -> list[DesiredJob]:
    return [a.job for a in plan if isinstance(a, RunJob) and a.cause.reason is Reason.NEW]


def _earlier(parts: Parts, jobs: list[DesiredJob]) -> Manifests:
    """Of the versions before that the store has: of each job the newest that is trained, and those that are not."""
    newest = {job.name: max(other.version for other in jobs if other.name == job.name) for job in jobs}
    there = [job for job in parts.records.all_jobs() if job.version < newest.get(job.name, 0)]
    return parts.records.manifests(there)


def _before(job: DesiredJob, known: Manifests) -> Manifest | None:
    """Of the newest trained version below the job's."""
    found = [
        manifest
        for address, manifest in known.items()
        if (address.kind, address.name) == ("job", job.name)
        and address.version < job.version
        and manifest.status is JobStatus.COMPLETED
        and manifest.key_fields
    ]
    return max(found, key=lambda manifest: manifest.version, default=None)


def _described(job: DesiredJob, before: Manifest, revisions: Revisions, data: DataNow) -> NewVersion:
    earlier = Address("job", before.name, before.version)
    live = ((name, live_revision(one)) for name, one in sorted(revisions.items()))
    return NewVersion(
        about=job.address,
        before=earlier,
        changes=changes_since(before, job),
        data=tuple(data.other_than(job, before)),
        metrics=before.metrics,
        serves=tuple(
            Address("endpoint", name, variant=variant.name)
            for name, revision in live
            if revision
            for variant in revision.asked.variants
            if variant.model.job == str(earlier)
        ),
    )
