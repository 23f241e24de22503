"""An endpoint's config and its models as an Endpoint document, and changes of such a document. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagespec.api.sagemaker.translate.hosted import ALGORITHMS, FRAMEWORKS, Engine, program_of, repository_of
from sagespec.api.sagemaker.translate.plain import as_text
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.spec.document import API_VERSION

Object = Mapping[str, Any]

# What clients tell AWS's containers, and ours know without being told.
_PLATFORMS_OWN = frozenset(
    {
        *("SAGEMAKER_CONTAINER_LOG_LEVEL", "SAGEMAKER_REGION", "SAGEMAKER_SUBMIT_DIRECTORY", "SAGEMAKER_PROGRAM"),
        *("SAGEMAKER_JOB_NAME", "SAGEMAKER_TFS_NGINX_LOGLEVEL"),
    }
)


@dataclass(frozen=True)
class ServedModel:
    """container: of CreateModel. uri: of its archive. job: whose model that is, as a spec names it (churn@3), '' for
    none; trained_by: then the field of that job's spec that says by what; script: the job's entry_point. about: what
    there is to say of the archive, for people."""

    container: Object
    uri: str
    job: str = ""
    trained_by: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    about: str = ""


def endpoint_document(
    name: str, config: Object, models: Mapping[str, ServedModel], engine: Engine, *, before: Object | None = None
) -> dict[str, Any]:
    """config: of CreateEndpointConfig. models: by the name of CreateModel.

    before: the document as it is, which keeps what a config has no word for: rollout, protect.
    """
    variants = [_variant(one, models[one["ModelName"]], engine) for one in config["ProductionVariants"]]
    own = {"apiVersion": API_VERSION, "kind": "Endpoint", "name": name, "variants": variants}
    return own | {key: value for key, value in (before or {}).items() if key not in own}


def with_weights(document: Object, desired: Sequence[Object]) -> dict[str, Any]:
    """The document with other weights and counts. desired: of UpdateEndpointWeightsAndCapacities."""
    variants = {variant["name"]: dict(variant) for variant in document["variants"]}
    for one in desired:
        if one["VariantName"] not in variants:
            raise Refused(f"endpoint {document['name']} has no variant {one['VariantName']}: {', '.join(variants)}")
        if one.get("DesiredInstanceCount") == 0:
            raise Refused("DesiredInstanceCount is 0, and each variant keeps an instance: weight 0 takes its traffic")
        variant = variants[one["VariantName"]]
        _set(variant, "weight", one.get("DesiredWeight"))
        _set(variant, "instances", one.get("DesiredInstanceCount"))
    if not any(variant.get("weight", 1) for variant in variants.values()):
        raise Refused("all weights are 0, so no request would be served: give one variant a weight above 0")
    return {**document, "variants": list(variants.values())}


def refuse_unknown(config: Object) -> None:
    """Refused for what sagespec's endpoints cannot do, rather than something else than what was asked for."""
    for name, what in (("AsyncInferenceConfig", "asynchronous endpoints"), ("ShadowProductionVariants", "shadows")):
        if config.get(name):
            raise Refused(f"sagespec has no {what} yet")
    for variant in config["ProductionVariants"]:
        if variant.get("ServerlessConfig"):
            raise Refused("sagespec has no serverless endpoints yet: give InitialInstanceCount and InstanceType")
        if not variant.get("ModelName"):
            raise Refused("sagespec has no inference components yet: each variant names its ModelName")


def program_of_model(model: ServedModel, engine: Engine) -> dict[str, str]:
    """The field that says what serves it; none for a job's model that is served by what trained it."""
    image = model.container.get("Image", "")
    if not image:
        raise Refused("sagespec has no models without an Image yet: name one")
    environment: Mapping[str, str] = model.container.get("Environment") or {}
    repository = repository_of(image)
    if model.job:
        has_script = "framework" in model.trained_by
    else:  # the images of a framework serve a model without a script by their own defaults
        has_script = "SAGEMAKER_PROGRAM" in environment or repository not in ALGORITHMS
    found = program_of(image, engine, has_script=has_script and repository in FRAMEWORKS)
    return {} if model.job and found == model.trained_by else found


def _variant(given: Object, model: ServedModel, engine: Engine) -> dict[str, Any]:
    program = program_of_model(model, engine)
    is_jobs = bool(model.job) and (not program or "image" in program)
    found: dict[str, Any] = {"name": given["VariantName"], "model": model.job if is_jobs else as_text(model.uri)}
    _set(found, "weight", given.get("InitialVariantWeight"))
    _set(found, "instances", given.get("InitialInstanceCount"))
    found |= {key: as_text(value) for key, value in program.items()}
    environment: Mapping[str, str] = model.container.get("Environment") or {}
    script = environment.get("SAGEMAKER_PROGRAM", "")
    if script and "algorithm" not in {**model.trained_by, **program} and not (is_jobs and script == model.script):
        found["entry_point"] = script
    if own := {key: as_text(value) for key, value in environment.items() if key not in _PLATFORMS_OWN}:
        found["environment"] = own
    return found


def _set(variant: dict[str, Any], name: str, value: float | None) -> None:
    """A field that is 1 by default, and that nobody writes then."""
    if value is None:
        return
    variant.pop(name, None)
    if value != 1:
        variant[name] = int(value) if value == int(value) else value
