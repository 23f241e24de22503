"""The plan as a page shows it: what would be done, from what to what, and what the engine has left for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sagespec.dashboard.differences import Difference, difference, endpoint_document, job_document
from sagespec.errors import WorldError
from sagespec.plan import Action, AwaitHealthy, Plan, RecordRevision, RunJob
from sagespec.project import Project
from sagespec.reconcile.rooms import RESOURCES, amounts_of
from sagespec.reconcile.turns import Request, holders, needs_of
from sagespec.records.records import Records
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.revision import EndpointRecord, RevisionStatus, live_revision

MOST_DIFFERENCES = 30


@dataclass(frozen=True)
class Resource:
    """How much of it the engine has, and what is held, in its own unit."""

    name: str
    total: float
    held: float


@dataclass(frozen=True)
class Planned:
    """runtime: which engine, and why. needs: of jobs that are to run. resources: () where the engine does not tell."""

    plan: Plan
    runtime: str
    differences: Sequence[Difference] = ()
    holding: Sequence[Request] = ()
    needs: Mapping[Address, Request] = field(default_factory=dict)
    resources: Sequence[Resource] = ()


def planned(project: Project) -> Planned:
    plan = project.plan()
    runtime = project.parts.runtime
    holding = holders(runtime.containers())
    jobs = [action.job for action in plan if isinstance(action, RunJob)]
    return Planned(
        plan=plan,
        runtime=project.runtime_reason,
        differences=differences_of(plan, project.parts.records),
        holding=holding,
        needs={job.address: Request(job.address, needs_of(job)) for job in jobs},
        resources=_resources(project, holding),
    )


def _resources(project: Project, holding: Sequence[Request]) -> list[Resource]:
    try:
        total = amounts_of(project.parts.runtime.capacity())
    except WorldError:
        return []
    held = {name: sum(request.needs.get(name, 0) for request in holding) for name in RESOURCES}
    return [Resource(name, total[name], held[name]) for name in RESOURCES if total[name] or held[name]]


def differences_of(plan: Plan, records: Records) -> list[Difference]:
    """Of the first so many jobs and endpoints."""
    to_run = [action.job for action in plan if isinstance(action, RunJob)][:MOST_DIFFERENCES]
    known = records.all_jobs() if to_run else ()
    asked = {action.about: record for action in plan if (record := _record(action))}
    endpoints = [_of_endpoint(*one, records) for one in list(asked.items())[:MOST_DIFFERENCES]]
    return [*(_of_job(job, known, records) for job in to_run), *endpoints]


def _of_job(job: DesiredJob, known: Sequence[Address], records: Records) -> Difference:
    before = max((a for a in known if a.name == job.name and a.version <= job.version), default=None)
    manifest = records.manifests([before]).get(before) if before else None
    old = job_document(manifest.spec) if manifest else None
    return difference(str(job.address), str(before or ""), old, job_document(job.spec))


def _record(action: Action) -> EndpointRecord | None:
    """What an action wants an endpoint to be; None for one that wants nothing new."""
    match action:
        case RecordRevision(status=RevisionStatus.LIVE, record=record):
            return record
        case AwaitHealthy(endpoint=endpoint, revision=int()):
            return endpoint.record
    return None


def _of_endpoint(about: Address, record: EndpointRecord, records: Records) -> Difference:
    live = live_revision(records.revisions([about.name]).get(about.name, ()))
    old = endpoint_document(live.asked) if live else None
    return difference(str(about), f"revision {live.number}" if live else "", old, endpoint_document(record))
