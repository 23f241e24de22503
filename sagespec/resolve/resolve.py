"""Specs to `Desired`: paths made whole, programs chosen, keys and hashes computed.

Called by `verbs.plan` on every pass. Reads local files where a fingerprint needs their content (your own model
archive), and uses the store's manifests for models whose job is in no spec any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagespec.errors import SpecError
from sagespec.gateway.launch import gateway_hash
from sagespec.load.loaded import Loaded
from sagespec.load.once import told_once
from sagespec.load.references import unresolved_models
from sagespec.resolve.builtins import ImageDescription
from sagespec.resolve.doors import resolve_doors
from sagespec.resolve.endpoints import resolve_endpoint
from sagespec.resolve.facts import Facts, Fingerprint, SecretVersion, Started, not_asked
from sagespec.resolve.jobs import resolve_job
from sagespec.resolve.notebooks import resolve_notebook
from sagespec.resolve.programs import model_address
from sagespec.runtimes.opened import Open, no_secrets
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.environment import Environment
from sagespec.spec.job import TrainingJob
from sagespec.spec.notebook import Notebook
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
    home: Path | None = None,
    images: Mapping[str, ImageDescription],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
    started: Started = lambda _: {},
    secret_version: SecretVersion = not_asked,
    open_secret: Open = no_secrets,
) -> Desired:
    """What the specs ask for, complete. SpecError with every reference that leads nowhere.

    root: the project's folder; keys hold paths relative to it, so that they are equal on every machine. home: where
    the files of callers' keys and of the certificate are, if elsewhere.
    fingerprint: what tells two states of an s3:// artifact apart. started: the key fields of a job that was started and
    has not ended. secret_version: what tells the present value of a secret from others, by its name;
    open_secret: that value, of callers' keys.
    """
    specs = {item.address: item for item in loaded.specs}
    known = loaded.project.secrets.keys()
    facts = Facts(root, images, manifests, fingerprint, started, specs, secret_version, known)
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
    notebooks = [resolve_notebook(item.spec, item, facts) for item in loaded.specs if isinstance(item.spec, Notebook)]
    if problems:
        raise SpecError(told_once(problems, loaded.specs))
    return Desired(
        project_name=loaded.project.name,
        jobs=tuple(sorted(jobs, key=lambda job: job.address)),
        endpoints=tuple(sorted((e for e in endpoints if e), key=lambda endpoint: endpoint.name)),
        notebooks=tuple(sorted(notebooks, key=lambda notebook: notebook.name)),
        gateway_hash=gateway_hash(loaded.project.gateway),
        parallel_jobs=loaded.project.parallel_jobs,
        max_removals=loaded.project.require.max_removals,
        rejected=loaded.rejected,
        doors=resolve_doors(loaded.project.gateway, home or root, loaded.project_origins, open_secret),
        **_of_environment(loaded.environment),
    )


def _of_environment(environment: Environment | None) -> dict[str, Any]:
    """What an environment says of jobs, and its name."""
    if environment is None:
        return {}
    place = environment.models_from.shown if environment.models_from else ""
    return {"environment": environment.name, "models_from": place, "trains": environment.jobs == "train"}


def empty_desired(project: ProjectSettings) -> Desired:
    """Nothing wanted: what `destroy` reconciles with."""
    return Desired(project.name, gateway_hash=gateway_hash(project.gateway), parallel_jobs=project.parallel_jobs)
