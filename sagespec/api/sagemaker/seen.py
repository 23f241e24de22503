"""What is known of jobs and endpoints now: from one look that all share, and from what the store keeps of the ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sagespec.api.sagemaker.job_status import JobSeen
from sagespec.api.sagemaker.records import KeptJob
from sagespec.api.service import Service
from sagespec.errors import SagespecError
from sagespec.state.addresses import Address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.verbs.states import Status


def status_of(service: Service) -> Status | None:
    """None where there is none: a spec is wrong, or the engine is away."""
    return _look(service)[0]


def _look(service: Service) -> tuple[Status | None, str]:
    """The status; or None, and why."""
    try:
        return service.snapshots.status(), ""
    except SagespecError as error:
        problem = error.problems[0]
        return None, " ".join(filter(None, (str(problem.where or ""), problem.what)))


def job_seen(service: Service, kept: KeptJob) -> JobSeen:
    return jobs_seen(service, {"": kept})[""]


def jobs_seen(service: Service, kept: Mapping[str, KeptJob]) -> dict[str, JobSeen]:
    status, trouble = _look(service)
    rows = {str(job.address): job for job in status.jobs} if status else {}
    looked_at = status.at.timestamp() if status else 0.0
    manifests = _manifests(service, {Address.parse(one.address) for one in kept.values() if one.address})
    return {
        name: JobSeen(
            rows.get(one.address),
            manifests.get(Address.parse(one.address)) if one.address else None,
            is_old=looked_at < one.modified_at,
            trouble=trouble,
        )
        for name, one in kept.items()
    }


def _manifests(service: Service, addresses: Iterable[Address]) -> Mapping[Address, Manifest]:
    """Those of completed jobs never change, and are read once."""
    memory, records = service.memory, service.project.parts.records
    unknown = [address for address in addresses if address not in memory.completed]
    found = records.manifests(unknown)
    memory.completed.update({a: m for a, m in found.items() if m.status is JobStatus.COMPLETED})
    return {**memory.completed, **found}
