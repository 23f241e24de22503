"""An endpoint of SageMaker as a spec of this project: its models in the store, as jobs that were imported.

A model that a script serves is no job's, since nobody knows what trained it: it becomes an archive with the script in
it, which the variant names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagespec.api.sagemaker.archives import brought
from sagespec.api.sagemaker.imports.aws import SageMaker
from sagespec.api.sagemaker.imports.specs import (
    Brought,
    heading_of,
    imported,
    importing,
    refusals,
    refuse_wrong,
    specs_folder,
    with_import,
    write_spec,
)
from sagespec.api.sagemaker.models import container_of, uri_of
from sagespec.api.sagemaker.setting import engine_for
from sagespec.api.sagemaker.translate.described import config_now, left_out_of_endpoint, without_secrets
from sagespec.api.sagemaker.translate.endpoints import ServedModel, endpoint_document, program_of_model, refuse_unknown
from sagespec.api.sagemaker.translate.names import job_name
from sagespec.api.sagemaker.translate.plain import as_text
from sagespec.api.sagemaker.translate.rollouts import with_rollout
from sagespec.errors import WorldError
from sagespec.load.load import load_what_is_right
from sagespec.parts import Parts
from sagespec.spec.document import API_VERSION
from sagespec.state.addresses import endpoint_address, job_address
from sagespec.verbs.plan import fingerprint_of
from sagespec.verbs.versions import next_version


def import_endpoint(parts: Parts, asked: SageMaker, description: Mapping[str, Any], region: str) -> Brought:
    """description: of DescribeEndpoint."""
    name, status = description["EndpointName"], description["EndpointStatus"]
    what = f"endpoint {name}"
    if status != "InService":
        raise WorldError(f"{what} is {status}", fix="import an endpoint that is InService")
    _refuse_known(parts, name)
    specs_folder(parts)  # nothing is written where no spec can be
    config = config_now(description, asked.config(description["EndpointConfigName"]))
    made = Brought((), ())
    with refusals(what):
        refuse_unknown(config)
        models = {variant["ModelName"]: asked.model(variant["ModelName"]) for variant in config["ProductionVariants"]}
        engine = engine_for(parts)
        containers = {one: without_secrets(container_of(model)) for one, model in models.items()}
        found = {one: ServedModel(container, uri_of(container)) for one, (container, _) in containers.items()}
        programs = {one: program_of_model(model, engine) for one, model in found.items()}
        served: dict[str, ServedModel] = {}
        for one, model in found.items():
            if "framework" in programs[one]:
                served[one] = brought(parts, one, model)
            else:
                served[one], made = _as_job(parts, one, model, programs[one], region=region, made=made)
        document = with_rollout(
            endpoint_document(name, config, served, engine), description.get("LastDeploymentConfig")
        )
    refuse_wrong(parts, document)
    secrets = (f"model {one}: {field}" for one, (_, fields) in containers.items() for field in fields)
    left_out = (*left_out_of_endpoint(config, models), *secrets)
    archives = [model.about for model in served.values() if model.about]
    file = write_spec(parts, document, heading_of(f"{what} in {region}", "; ".join(archives), left_out))
    return Brought(made.manifests, (*made.files, file), left_out)


def _refuse_known(parts: Parts, name: str) -> None:
    loaded, _ = load_what_is_right(parts.specs, parts.root, parts.environment)
    for item in loaded.specs:
        if item.address == endpoint_address(name):
            fix = "edit that; nothing is ever overwritten"
            raise WorldError(f"{item.origin.file} describes endpoint/{name} already", fix=fix)


def _as_job(
    parts: Parts, name: str, model: ServedModel, program: Mapping[str, str], *, region: str, made: Brought
) -> tuple[ServedModel, Brought]:
    """As the version of a job that is imported, unless it was before."""
    about, files = importing(parts, as_text(model.uri)), made.files
    if about is None:
        fingerprint_of(parts, model.uri)  # nothing is written for a model that is not there
        short = job_name(name)
        about = job_address(short, next_version(parts, short))
        head = {"apiVersion": API_VERSION, "kind": "TrainingJob", "name": about.name, "version": about.version}
        document = with_import(head | {key: as_text(value) for key, value in program.items()}, as_text(model.uri))
        refuse_wrong(parts, document)
        heading = heading_of(f"model {name} in {region}", model.container.get("Image", ""), ())
        files = (*files, write_spec(parts, document, heading))
    manifests = (*made.manifests, imported(parts, about))
    served = ServedModel(model.container, model.uri, f"{about.name}@{about.version}", program)
    return served, Brought(manifests, files)
