"""One Endpoint spec to a DesiredEndpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagespec.errors import Problem
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.builtins import ImageDescription
from sagespec.resolve.keys import Fingerprint, artifact_fingerprint
from sagespec.resolve.programs import model_address, named_program, portable, program_of
from sagespec.spec.endpoint import Endpoint, Variant
from sagespec.state.addresses import Address
from sagespec.state.desired import (
    DesiredEndpoint,
    DesiredJob,
    endpoint_from_asked,
)
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.programs import Program


def resolve_endpoint(
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
                "program": program.as_json(),
                "weight": variant.weight,
                "instances": variant.instances,
                "environment": {**_script(variant, model, jobs, manifests), **variant.environment},
                "cpus": variant.resources.cpus,
                "memory": variant.resources.memory,
                **({"gpus": variant.resources.gpus} if variant.resources.gpus else {}),
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
        which = "framework" if variant.framework else "algorithm"
        builtin = variant.framework or variant.algorithm
        program = named_program(builtin, variant.image, f"{field}.{which}", item, images, problems)
        identity = f"{uri}:{artifact_fingerprint(uri, root, fingerprint)}"
        return {"text": variant.model, "identity": identity, "job": "", "uri": uri}, program
    manifest, job = manifests.get(address), jobs.get(address)
    if manifest and manifest.status is JobStatus.COMPLETED:
        key, trained_by = manifest.key, program_of(manifest)
    elif job:
        key, trained_by = job.key, job.program
    else:
        return {}, Program()  # said by `unresolved_models` with its place
    program = Program(image=variant.image) if variant.image else trained_by
    return {"text": variant.model, "identity": f"{address}:{key}", "job": str(address), "uri": ""}, program


def _script(
    variant: Variant,
    model: Mapping[str, str],
    jobs: Mapping[Address, DesiredJob],
    manifests: Mapping[Address, Manifest],
) -> dict[str, str]:
    """What tells a serving container which script is in its model's code/, as SageMaker's SDK does; {} for none."""
    entry_point = variant.entry_point or ""
    if not entry_point and model.get("job"):
        address = Address.parse(model["job"])
        manifest, job = manifests.get(address), jobs.get(address)
        if manifest and manifest.status is JobStatus.COMPLETED:
            entry_point = str(manifest.key_fields.get("entry_point", ""))
        elif job and job.code:
            entry_point = job.code.entry_point
    return {"SAGEMAKER_PROGRAM": entry_point} if entry_point else {}
