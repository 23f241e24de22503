"""Specs to `Desired`: paths made whole, programs chosen, keys and hashes computed.

Called by `project` on every pass. Reads local files where a fingerprint needs their content (a model
archive of one's own), and the store's manifests for models whose job no spec describes any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sagespec.contract import hyperparameter_text
from sagespec.errors import Origin, Problem, SpecError, did_you_mean
from sagespec.gateway import gateway_hash
from sagespec.load import Loaded, LoadedSpec, unresolved_models
from sagespec.manifest import JobStatus, Manifest
from sagespec.spec import Endpoint, Project, TrainingJob, Variant, named_job
from sagespec.state import (
    Address,
    Desired,
    DesiredChannel,
    DesiredEndpoint,
    DesiredJob,
    Program,
    endpoint_from_asked,
    hash_of,
    job_address,
)

Fingerprint = Callable[[str], str]  # s3://… -> ETag or the like


class ImageDescription(BaseModel):
    """image.json of a folder under images/: what core needs to know of a built-in."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    class Metric(BaseModel):
        name: str
        regex: str

    kind: Literal["algorithm", "framework", "gateway", "test"]
    description: str = ""
    metrics: tuple[Metric, ...] = ()


def describe_images(images: Path) -> dict[str, ImageDescription]:
    """The built-ins by folder name."""
    return {
        file.parent.name: ImageDescription.model_validate_json(file.read_bytes())
        for file in sorted(images.glob("*/image.json"))
    }


def model_address(text: str) -> Address | None:
    """The job a variant's `model:` names (churn@3), or None when it is an artifact's place.

    >>> str(model_address("churn@3"))
    'job/churn@3'
    """
    named = named_job(text)
    return job_address(*named) if named else None


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
) -> Desired:
    """What the specs ask for, complete. SpecError with every reference that leads nowhere.

    root: the project's folder; keys hold paths relative to it, so that they are equal on every machine.
    fingerprint: what tells two states of an s3:// artifact apart.
    """
    trained = {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}
    problems = [problem for problem, address in unresolved_models(loaded) if address not in trained]
    unresolved = bool(problems)
    jobs = [
        _resolve_job(item.spec, item, root, images, problems)
        for item in loaded.specs
        if isinstance(item.spec, TrainingJob)
    ]
    by_address = {job.address: job for job in jobs}
    endpoints = [
        _resolve_endpoint(item.spec, item, root, images, by_address, manifests, fingerprint, problems)
        for item in loaded.specs
        if isinstance(item.spec, Endpoint) and not unresolved
    ]
    if problems:
        raise SpecError(sorted(problems, key=lambda problem: problem.where or Origin("")))
    return Desired(
        project_name=loaded.project.name,
        jobs=tuple(sorted(jobs, key=lambda job: job.address)),
        endpoints=tuple(sorted((e for e in endpoints if e), key=lambda endpoint: endpoint.name)),
        gateway_hash=gateway_hash(loaded.project.gateway),
        parallel_jobs=loaded.project.parallel_jobs,
    )


def empty_desired(project: Project) -> Desired:
    """Nothing wanted: what `destroy` reconciles with."""
    return Desired(project.name, gateway_hash=gateway_hash(project.gateway), parallel_jobs=project.parallel_jobs)


# -- jobs ------------------------------------------------------------------------------------------


def _resolve_job(
    spec: TrainingJob,
    item: LoadedSpec,
    root: Path,
    images: Mapping[str, ImageDescription],
    problems: list[Problem],
) -> DesiredJob:
    program = _program(spec.algorithm, spec.image, "algorithm", item, images, problems)
    channels = tuple(
        DesiredChannel(
            name=name,
            source=portable(channel.source, item, root),
            content_type=channel.content_type,
            sharded=channel.distribution == "sharded",
        )
        for name, channel in sorted(spec.channels.items())
    )
    key_fields = _key_fields(spec, channels)
    return DesiredJob(
        name=spec.name,
        version=spec.version,
        key=hash_of(key_fields),
        key_fields=key_fields,
        program=program,
        hyperparameters=spec.hyperparameters,
        channels=channels,
        instances=spec.instances,
        environment=spec.environment,
        cpus=spec.resources.cpus,
        memory=spec.resources.memory,
        max_runtime=spec.stopping.max_runtime,
        protect=spec.protect,
        spec=spec.model_dump(mode="json"),
        origin=item.origin,
        field_origins=item.origins,
    )


def _key_fields(spec: TrainingJob, channels: tuple[DesiredChannel, ...]) -> dict[str, Any]:
    """What decides a job's result, by field path; `hash_of` this is the job's key.

    Hyperparameters count as the strings the container sees, so that 100 and "100" are one. Resources
    and stopping are left out: they decide whether it ends, not what it gives.
    """
    fields: dict[str, Any] = {"algorithm": spec.algorithm} if spec.algorithm else {"image": spec.image}
    fields |= {f"hyperparameters.{name}": hyperparameter_text(v) for name, v in spec.hyperparameters.items()}
    fields |= {f"environment.{name}": value for name, value in spec.environment.items()}
    for channel in channels:
        fields[f"channels.{channel.name}.source"] = channel.source
        if channel.content_type:
            fields[f"channels.{channel.name}.content_type"] = channel.content_type
        if channel.sharded:
            fields[f"channels.{channel.name}.distribution"] = "sharded"
    return fields | {"instances": spec.instances}


def portable(source: str, item: LoadedSpec, root: Path) -> str:
    """A source as keys hold it: s3:// as it is, a path under the root relative to the root, another absolute."""
    path = item.local_path(source)
    if path is None:
        return source
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _program(
    builtin: str | None,
    image: str | None,
    field: str,
    item: LoadedSpec,
    images: Mapping[str, ImageDescription],
    problems: list[Problem],
) -> Program:
    known = [name for name, description in images.items() if description.kind != "gateway"]
    if builtin and builtin not in known:
        offered = [name for name in known if images[name].kind == "algorithm"]
        problems.append(
            Problem(
                what=f"there is no built-in named {builtin!r}",
                about=field,
                why=f"the built-ins are {', '.join(offered)}",
                fix=did_you_mean(builtin, known) or "name one of them, or give a container with image:",
                where=item.origin_of(field),
            )
        )
    return Program(builtin=builtin or "", image=image or "")


# -- endpoints -------------------------------------------------------------------------------------


def _resolve_endpoint(
    spec: Endpoint,
    item: LoadedSpec,
    root: Path,
    images: Mapping[str, ImageDescription],
    jobs: Mapping[Address, DesiredJob],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
    problems: list[Problem],
) -> DesiredEndpoint | None:
    before = len(problems)
    variants = []
    for index, variant in enumerate(spec.variants):
        field = f"variants.{index}"
        model, program = _model(variant, field, item, root, images, jobs, manifests, fingerprint, problems)
        variants.append(
            {
                "name": variant.name,
                "model": model,
                "program": {"builtin": program.builtin, "image": program.image},
                "weight": variant.weight,
                "instances": variant.instances,
                "environment": variant.environment,
                "cpus": variant.resources.cpus,
                "memory": variant.resources.memory,
            }
        )
    if len(problems) > before:
        return None
    asked = {"variants": variants, "rollout": _rollout(spec), "protect": spec.protect}
    return endpoint_from_asked(spec.name, asked, item.origin)


def _rollout(spec: Endpoint) -> dict[str, Any]:
    rollout = spec.rollout
    return {
        "healthy_within": rollout.healthy_within,
        "min_healthy": rollout.min_healthy,
        "drain_within": rollout.drain_within,
        "replace": rollout.replace,
    }


def _model(
    variant: Variant,
    field: str,
    item: LoadedSpec,
    root: Path,
    images: Mapping[str, ImageDescription],
    jobs: Mapping[Address, DesiredJob],
    manifests: Mapping[Address, Manifest],
    fingerprint: Fingerprint,
    problems: list[Problem],
) -> tuple[dict[str, str], Program]:
    """The model's part of `asked`, and the program that serves it."""
    address = model_address(variant.model)
    if address is None:
        uri = portable(variant.model, item, root)
        program = _program(variant.algorithm, variant.image, f"{field}.algorithm", item, images, problems)
        identity = f"{uri}:{_artifact_fingerprint(uri, root, fingerprint)}"
        return {"text": variant.model, "identity": identity, "job": "", "uri": uri}, program
    manifest, job = manifests.get(address), jobs.get(address)
    if manifest and manifest.status is JobStatus.COMPLETED:
        key, trained_by = manifest.key, _program_of(manifest)
    elif job:
        key, trained_by = job.key, job.program
    else:
        return {}, Program()  # said by `unresolved_models` with its place
    program = Program(image=variant.image) if variant.image else trained_by
    return {"text": variant.model, "identity": f"{address}:{key}", "job": str(address), "uri": ""}, program


def _program_of(manifest: Manifest) -> Program:
    return Program(builtin=manifest.spec.get("algorithm") or "", image=manifest.spec.get("image") or "")


def _artifact_fingerprint(uri: str, root: Path, fingerprint: Fingerprint) -> str:
    if uri.startswith("s3://"):
        return fingerprint(uri)
    if not (root / uri).is_file():
        return "missing"  # `load.missing_paths` tells where it matters
    with (root / uri).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
