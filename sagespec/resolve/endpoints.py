"""One Endpoint spec to a DesiredEndpoint: each variant's model found, and the program that serves it.

Called by `resolve` after the jobs, whose keys and programs a variant's model may need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sagespec.errors import Problem
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.facts import Facts
from sagespec.resolve.keys import artifact_fingerprint
from sagespec.resolve.programs import model_address, named_program, portable, program_of
from sagespec.resolve.secrets import check_secrets, versions_of
from sagespec.spec.acceleration import WHAT_TAKES_IT, takes_acceleration
from sagespec.spec.endpoint import Endpoint, Variant
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredEndpoint, DesiredJob, desired_endpoint
from sagespec.state.hashes import UNTRAINED
from sagespec.state.manifest import Manifest
from sagespec.state.programs import Builtin, Image, Program
from sagespec.state.revision import EndpointRecord, LimitsRecord, ModelRecord, SplitRecord, VariantRecord
from sagespec.state.rollout import rollout_record


def resolve_endpoint(
    spec: Endpoint, item: LoadedSpec, jobs: Mapping[Address, DesiredJob], facts: Facts
) -> DesiredEndpoint | None:
    """The endpoint as wanted; None when something is wrong with it, which is then among the problems."""
    before = len(facts.problems)
    variants = []
    for index, variant in enumerate(spec.variants):
        field = f"variants.{index}"
        model, program = _model(variant, field, item, jobs, facts)
        _check_acceleration(variant, program, field, item, facts)
        check_secrets(variant.environment, f"{field}.environment", item, facts)
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
                **_where_used(variant, facts),
            )
        )
    if len(facts.problems) > before:
        return None
    record = EndpointRecord(
        variants=tuple(variants),
        rollout=rollout_record(spec.rollout),
        protect=spec.protect,
        **_used(spec),
    )
    found = desired_endpoint(spec.name, record, item.origin)
    return replace(found, gate=spec.rollout.gate, field_origins=item.origins)


def _where_used(variant: Variant, facts: Facts) -> dict[str, Any]:
    """The fields of the record that are given only by a spec that uses them."""
    secrets = versions_of(variant.environment, facts)
    found = {"gpus": variant.resources.gpus, "accelerate": variant.accelerate, "secrets": secrets}
    return {name: value for name, value in found.items() if value}


def _used(spec: Endpoint) -> dict[str, Any]:
    """What a record is given only where it is used: earlier releases, whose hashes are the same, did not have it."""
    found: dict[str, Any] = {"split": SplitRecord(key=spec.split.key)} if spec.split.key else {}
    found |= {"when_down": spec.when_down} if spec.when_down != "fail" else {}
    limits = spec.limits
    if limits.concurrency:
        found["limits"] = LimitsRecord(concurrency=limits.concurrency, queue=limits.queue)
    return found


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
    alias = {"alias": item.aliases[f"{field}.model"]} if f"{field}.model" in item.aliases else {}
    return ModelRecord(text=variant.model, identity=identity, job=str(address), uri="", sha256=sha256, **alias), program


def _check_acceleration(variant: Variant, program: Program, field: str, item: LoadedSpec, facts: Facts) -> None:
    """A job's model is served by what trained it, which the spec of the endpoint does not say."""
    served_by = program.name if isinstance(program, Builtin) else str(program)
    if variant.accelerate and model_address(variant.model) and served_by and not takes_acceleration(served_by):
        facts.problems.append(
            Problem(
                what=f"{variant.model} is served by {served_by}, whose models accelerate cannot convert",
                about=f"{field}.accelerate",
                fix=f"remove it: it needs {WHAT_TAKES_IT}",
                where=item.origin_of(f"{field}.accelerate"),
            )
        )


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
