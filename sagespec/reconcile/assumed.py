"""What would be there if specs had been applied: an `Observed` of them alone, without an engine or a store.

A plan against another commit is what `reconcile` makes of the specs of now and this. Pure, as all files beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sagespec.reconcile.instances import Instance
from sagespec.reconcile.routes import wanted_route
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import Desired, DesiredEndpoint, DesiredJob
from sagespec.state.doors import NO_DOORS
from sagespec.state.labels import container_name
from sagespec.state.manifest import Artifact, JobStatus, Manifest
from sagespec.state.observed import Container, ContainerState, Observed, ObservedGateway, Probe
from sagespec.state.revision import Revision, RevisionStatus

HOST, PORT = "assumed", 8080


def as_if_trained(job: DesiredJob, project_name: str, now: datetime) -> Manifest:
    """The manifest that the job would have left, as far as its spec tells; its key stands for a checksum."""
    model = Artifact(key="model.tar.gz", size=0, sha256=job.key.rpartition("-")[2])
    return Manifest(
        project=project_name,
        name=job.name,
        version=job.version,
        key=job.key,
        key_fields=dict(job.key_fields),
        files={name: dict(files) for name, files in job.files.items()},
        status=JobStatus.COMPLETED,
        spec=dict(job.spec),
        artifacts={"model": model},
        started_at=now,
        ended_at=now,
    )


def as_if_kept(job: Address, project_name: str, now: datetime) -> Manifest:
    """That of a job which no spec has any more: nothing is known of it but that its model serves."""
    return Manifest(
        project=project_name,
        name=job.name,
        version=job.version,
        key="",
        key_fields={},
        status=JobStatus.COMPLETED,
        spec={},
        started_at=now,
        ended_at=now,
    )


def as_if_applied(
    desired: Desired,
    manifests: Mapping[Address, Manifest],
    now: datetime,
    numbers: Mapping[str, int] | None = None,
) -> Observed:
    """The snapshot after an `apply` of these specs that went well. manifests: of all jobs that they name. numbers: of
    the endpoints' newest revisions, as far as they are known."""
    project = desired.project_name
    instances = {endpoint.name: _instances(endpoint, project) for endpoint in desired.endpoints}
    serving = [_runs(i.container, i.address, i.hash) for found in instances.values() for i in found]
    gateway = [_runs(container_name(project, GATEWAY, desired.gateway_hash), GATEWAY, desired.gateway_hash)]
    notebooks = [
        _runs(container_name(project, notebook.address, notebook.hash), notebook.address, notebook.hash)
        for notebook in desired.notebooks
        if notebook.is_to_run
    ]
    return Observed(
        containers=(*(gateway if desired.endpoints else ()), *sorted(serving), *notebooks),
        gateway=ObservedGateway(
            answers=bool(desired.endpoints),
            routes={endpoint.name: wanted_route(endpoint, instances[endpoint.name]) for endpoint in desired.endpoints},
            probes={container.name: Probe(True, 0, HOST, PORT) for container in serving},
            doors=desired.doors.over(NO_DOORS) if desired.doors else NO_DOORS,
        ),
        manifests=manifests,
        revisions={
            endpoint.name: (_live(endpoint, (numbers or {}).get(endpoint.name, 1), now),)
            for endpoint in desired.endpoints
        },
        newest_versions=_newest(job for job in manifests if job.kind == "job"),
    )


def _instances(endpoint: DesiredEndpoint, project_name: str) -> tuple[Instance, ...]:
    addresses = [
        (variant, Address("endpoint", endpoint.name, variant=variant.name, instance=index))
        for variant in endpoint.variants
        for index in range(variant.instances)
    ]
    return tuple(
        Instance(about, container_name(project_name, about, variant.hash), variant.hash, variant, None, True, "")
        for variant, about in addresses
    )


def _runs(name: str, address: Address, hash_text: str) -> Container:
    return Container(name, address, hash_text, ContainerState.RUNNING, host=HOST, port=PORT)


def _live(endpoint: DesiredEndpoint, number: int, now: datetime) -> Revision:
    return Revision(
        endpoint=endpoint.name,
        number=number,
        hash=endpoint.hash,
        status=RevisionStatus.LIVE,
        asked=endpoint.record,
        started_at=now,
        ended_at=now,
    )


def _newest(jobs: Iterable[Address]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for job in jobs:
        found[job.name] = max(found.get(job.name, 0), job.version)
    return found
