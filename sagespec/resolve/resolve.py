"""Specs to `Desired`: paths made whole, programs chosen, keys and hashes computed.

Called by `verbs.plan` on every pass. Reads local files where a fingerprint needs their content (your own model
archive), and uses the store's manifests for models whose job is in no spec any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sagespec.errors import SpecError
from sagespec.gateway.launch import gateway_hash
from sagespec.load.loaded import Loaded
from sagespec.load.once import told_once
from sagespec.load.references import unresolved_models
from sagespec.resolve.builtins import ImageDescription
from sagespec.resolve.endpoints import resolve_endpoint
from sagespec.resolve.facts import Facts, Fingerprint, Started
from sagespec.resolve.jobs import resolve_job
from sagespec.resolve.programs import model_address
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from sagespec.spec.project import ProjectSettings
from sagespec.state.addresses import Address, job_address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest


def wanted_manifests(loaded: Loaded) -> frozenset[Address]:
    """The jobs whose manifests `resolve` and `reconcile` need: those of the specs and those variants name."""
    wanted = set()
    for item in loaded.specs:
        match item.spec:
            case TrainingJob() as job:
                wanted.add(job_address(job.name, job.version))
            case Endpoint() as endpoint:
                wanted |= {address for v in endpoint.variants if (address := model_address(v.model))}
    return frozenset(wanted)


def resolve(
    loaded: Loaded,
    *,
    root: Path,
    images: Mapping[str, ImageDescription],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
    started: Started = lambda _: {},
) -> Desired:
    """What the specs ask for, complete. SpecError with every reference that leads nowhere.

    root: the project's folder; keys hold paths relative to it, so that they are equal on every machine.
    fingerprint: what tells two states of an s3:// artifact apart. started: the key fields of a job that was started and
    has not ended.
    """
    specs = {item.address: item for item in loaded.specs}
    facts = Facts(root, images, manifests, fingerprint, started, specs)
    problems = facts.problems
    problems += (problem for problem, address in unresolved_models(loaded) if not facts.trained(address))
    unresolved = bool(problems)
    jobs = [resolve_job(item.spec, item, facts) for item in loaded.specs if isinstance(item.spec, TrainingJob)]
    by_address = {job.address: job for job in jobs}
    endpoints = [
        resolve_endpoint(item.spec, item, by_address, facts)
        for item in loaded.specs
        if isinstance(item.spec, Endpoint) and not unresolved
    ]
    if problems:
        raise SpecError(told_once(problems, loaded.specs))
    return Desired(
        project_name=loaded.project.name,
        jobs=tuple(sorted(jobs, key=lambda job: job.address)),
        endpoints=tuple(sorted((e for e in endpoints if e), key=lambda endpoint: endpoint.name)),
        gateway_hash=gateway_hash(loaded.project.gateway),
        parallel_jobs=loaded.project.parallel_jobs,
    )


def empty_desired(project: ProjectSettings) -> Desired:
    """Nothing wanted: what `destroy` reconciles with."""
    return Desired(project.name, gateway_hash=gateway_hash(project.gateway), parallel_jobs=project.parallel_jobs)
