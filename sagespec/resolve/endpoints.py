"""One Endpoint spec to a DesiredEndpoint: each variant's model found, and the program that serves it.

Called by `resolve` after the jobs, whose keys and programs a variant's model may need.
"""

from __future__ import annotations

from collections.abc import Mapping

from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.facts import Facts
from sagespec.resolve.keys import artifact_fingerprint
from sagespec.resolve.programs import model_address, named_program, portable, program_of
from sagespec.spec.endpoint import Endpoint, Rollout, Variant
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, DesiredJob, desired_endpoint
from sagespec.state.hashes import UNTRAINED
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Builtin, Image, Program
from sagespec.state.revision import EndpointRecord, ModelRecord, RolloutRecord, VariantRecord


def resolve_endpoint(
    spec: Endpoint, item: LoadedSpec, jobs: Mapping[Address, DesiredJob], facts: Facts
) -> DesiredEndpoint | None:
    """The endpoint as wanted; None when something is wrong with it, which is then among the problems."""
    before = len(facts.problems)
    variants = []
    for index, variant in enumerate(spec.variants):
        field = f"variants.{index}"
        model, program = _model(variant, field, item, jobs, facts)
        variants.append(
            VariantRecord(
                name=variant.name,
                model=model,
                program=program,
                weight=variant.weight,
                instances=variant.instances,
                environment={**_script(variant, model, jobs, facts), **variant.environment},
                cpus=variant.resources.cpus,
                memory=variant.resources.memory,
                **({"gpus": variant.resources.gpus} if variant.resources.gpus else {}),
            )
        )
    if len(facts.problems) > before:
        return None
    record = EndpointRecord(variants=tuple(variants), rollout=_rollout(spec.rollout), protect=spec.protect)
    return desired_endpoint(spec.name, record, item.origin)


def _rollout(spec: Rollout) -> RolloutRecord:
    return RolloutRecord(
        healthy_within=spec.healthy_within,
        min_healthy=spec.min_healthy,
        drain_within=spec.drain_within,
        replace=spec.replace,
    )


def _model(
    variant: Variant,
    field: str,
    item: LoadedSpec,
    jobs: Mapping[Address, DesiredJob],
    facts: Facts,
) -> tuple[ModelRecord, Program]:
    """The variant's model, and the program that serves it."""
    address = model_address(variant.model)
    if address is None:
        uri = portable(variant.model, f"{field}.model", item, facts.root)
        which = "framework" if variant.framework else "algorithm"
        builtin = variant.framework or variant.algorithm
        program = named_program(builtin, variant.image, f"{field}.{which}", item, facts)
        identity = f"{uri}:{artifact_fingerprint(uri, facts)}"
        return ModelRecord(text=variant.model, identity=identity, job="", uri=uri), program
    manifest, job = facts.trained(address), jobs.get(address)
    if manifest:
        key, trained_by, sha256 = manifest.key, program_of(manifest), _sha256_of(manifest)
    elif job:
        key, trained_by, sha256 = job.key, job.program, UNTRAINED
    else:
        return ModelRecord(), Builtin("")  # said by `unresolved_models` with its place
    program = Image(variant.image) if variant.image else trained_by
    identity = f"{address}:{key}"
    return ModelRecord(text=variant.model, identity=identity, job=str(address), uri="", sha256=sha256), program


def _sha256_of(manifest: Manifest) -> str:
    return manifest.artifacts["model"].sha256 if "model" in manifest.artifacts else ""


def _script(
    variant: Variant,
    model: ModelRecord,
    jobs: Mapping[Address, DesiredJob],
    facts: Facts,
) -> dict[str, str]:
    """The variables that name the script in the model's code/, as SageMaker's SDK sets them; {} for no script."""
    entry_point = variant.entry_point or ""
    if not entry_point and model.job:
        address = Address.parse(model.job)
        manifest, job = facts.trained(address), jobs.get(address)
        if manifest:
            entry_point = str(manifest.key_fields.get("entry_point", ""))
        elif job and job.code:
            entry_point = job.code.entry_point
    return {"SAGEMAKER_PROGRAM": entry_point} if entry_point else {}
