"""CreateModel and CreateEndpointConfig: kept as they were sent, since nothing runs for them. They are deleted whatever
uses them: clients delete an endpoint's config before the endpoint, and what serves keeps serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.api.sagemaker.archives import in_store
from sagespec.api.sagemaker.arns import arn_of, exists_already, invalid, not_found, records_of, tags_of
from sagespec.api.sagemaker.artifacts import artifact_uri, job_of
from sagespec.api.sagemaker.by_specs import config_variants, endpoint_of_specs
from sagespec.api.sagemaker.job_status import words_of
from sagespec.api.sagemaker.lists import page
from sagespec.api.sagemaker.records import Kept, KeptConfig, KeptModel, clock
from sagespec.api.sagemaker.seen import job_seen
from sagespec.api.sagemaker.setting import engine_of
from sagespec.api.sagemaker.translate.endpoints import ServedModel, program_of_model, refuse_unknown
from sagespec.api.sagemaker.translate.plain import s3_uri
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.api.service import Request, Result, Service
from sagespec.errors import WorldError
from sagespec.verbs.plan import fingerprint_of

_PROGRAMS = ("algorithm", "framework", "image")


def create_model(service: Service, request: Request) -> Result:
    name = request["ModelName"]
    try:
        program_of_model(served_model(service, request), engine_of(service))
    except Refused as refused:
        raise invalid(str(refused)) from None
    return {"ModelArn": _keep(service, name, KeptModel, request)}


def describe_model(service: Service, request: Request) -> Result:
    name = request["ModelName"]
    kept = _kept(service, KeptModel, name)
    return {**_own(kept), "ModelArn": arn_of(service, KeptModel, name), "CreationTime": kept.created_at}


def delete_model(service: Service, request: Request) -> Result:
    return _delete(service, KeptModel, request["ModelName"])


def list_models(service: Service, request: Request) -> Result:
    return page(request, _summaries(service, KeptModel, "Model"), member="Models", name="ModelName")


def create_endpoint_config(service: Service, request: Request) -> Result:
    try:
        refuse_unknown(request)
    except Refused as refused:
        raise invalid(str(refused)) from None
    for variant in request["ProductionVariants"]:
        _kept(service, KeptModel, variant["ModelName"])
    return {"EndpointConfigArn": _keep(service, request["EndpointConfigName"], KeptConfig, request)}


def describe_endpoint_config(service: Service, request: Request) -> Result:
    name = request["EndpointConfigName"]
    if records_of(service).read(KeptConfig, name) is None and (endpoint := endpoint_of_specs(service, name)):
        return {
            "EndpointConfigName": name,
            "EndpointConfigArn": arn_of(service, KeptConfig, name),
            "ProductionVariants": config_variants(endpoint),
            "CreationTime": endpoint.created_at,
        }
    kept = _kept(service, KeptConfig, name)
    variants = [{"InitialVariantWeight": 1.0, **variant} for variant in kept.request["ProductionVariants"]]
    said = {"EndpointConfigArn": arn_of(service, KeptConfig, name), "CreationTime": kept.created_at}
    return {**_own(kept), "ProductionVariants": variants, **said}


def delete_endpoint_config(service: Service, request: Request) -> Result:
    return _delete(service, KeptConfig, request["EndpointConfigName"])


def list_endpoint_configs(service: Service, request: Request) -> Result:
    summaries = _summaries(service, KeptConfig, "EndpointConfig")
    return page(request, summaries, member="EndpointConfigs", name="EndpointConfigName")


def models_of(service: Service, config: Mapping[str, Any]) -> dict[str, ServedModel]:
    """The models of a config as they are to be served, by name. ApiError when one is not there any more."""
    found: dict[str, ServedModel] = {}
    for name in {variant["ModelName"] for variant in config["ProductionVariants"]}:
        try:
            found[name] = in_store(service, name, served_model(service, _kept(service, KeptModel, name).request))
        except Refused as refused:
            raise invalid(f"model {name}: {refused}") from None
    return found


def served_model(service: Service, request: Mapping[str, Any]) -> ServedModel:
    """What a request of CreateModel means here. ApiError when its model is not there; Refused for what is not known."""
    container = container_of(request)
    uri = uri_of(container)
    if found := job_of(service, uri):
        name, kept = found
        words = words_of(kept, job_seen(service, kept))
        if words.status == "Completed":
            trained_by = {key: kept.document[key] for key in _PROGRAMS if key in kept.document}
            job = kept.address.removeprefix("job/")
            return ServedModel(container, artifact_uri(service, name, kept), job, trained_by, _script(kept.document))
        if words.status != "Stopped":
            raise _no_data(uri, f"the training job {name} is {words.status}: {words.message}".rstrip(": "))
    try:
        fingerprint_of(service.project.parts, uri)
    except WorldError as error:
        raise _no_data(uri, error.problems[0].what) from None
    return ServedModel(container, uri)


def _script(document: Mapping[str, Any]) -> str:
    return str(document.get("entry_point", ""))


def _no_data(uri: str, why: str) -> Exception:
    return invalid(f"Could not find model data at {uri}: {why}")


def container_of(request: Mapping[str, Any]) -> Mapping[str, Any]:
    several: Sequence[Mapping[str, Any]] = request.get("Containers") or ()
    found: Mapping[str, Any] | None = request.get("PrimaryContainer") or (several[0] if len(several) == 1 else None)
    if found is None:
        raise Refused("sagespec has no models of several containers yet: give one PrimaryContainer")
    if found.get("Mode") == "MultiModel":
        raise Refused("sagespec has no multi-model endpoints yet: give each model a variant")
    return found


def uri_of(container: Mapping[str, Any]) -> str:
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    uri = s3_uri(container.get("ModelDataUrl") or source.get("S3Uri", ""))
    if not uri:
        raise Refused("sagespec needs a model to serve: give ModelDataUrl, the address of a model.tar.gz")
    if not uri.endswith(".tar.gz"):
        raise Refused(f"{uri} is not the address of a model.tar.gz, and sagespec serves no other models yet")
    return uri


def _keep(service: Service, name: str, kind: type[Kept], request: Request) -> str:
    now = clock()
    if not records_of(service).create(name, kind(request, now, now, tags_of(request.get("Tags")))):
        raise exists_already(service, kind, name)
    return arn_of(service, kind, name)


def _kept(service: Service, kind: type[Kept], name: str) -> Kept:
    kept = records_of(service).read(kind, name)
    if kept is None:
        raise not_found(service, kind, name)
    return kept


def _own(kept: Kept) -> dict[str, Any]:
    return {key: value for key, value in kept.request.items() if key != "Tags"}


def _delete(service: Service, kind: type[Kept], name: str) -> Result:
    _kept(service, kind, name)
    records_of(service).delete(kind, name)
    return {}


def _summaries(service: Service, kind: type[Kept], word: str) -> list[dict[str, Any]]:
    return [
        {f"{word}Name": name, f"{word}Arn": arn_of(service, kind, name), "CreationTime": kept.created_at}
        for name, kept in records_of(service).all(kind).items()
    ]
