"""CreateTrainingJob as a TrainingJob document: what a person would have written for it, and no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagespec.api.sagemaker.translate.channels import MODES, channels_of
from sagespec.api.sagemaker.translate.hosted import Engine, program_of, repository_of
from sagespec.api.sagemaker.translate.plain import as_text, decoded, duration, hyperparameters, s3_uri
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.api.sagemaker.translate.scripts import CODE, DRIVERS, Script
from sagespec.spec.document import API_VERSION

_DAY = 86400  # what a job may take if nothing is said
_CHECKPOINTS = "/opt/ml/checkpoints"


@dataclass(frozen=True)
class Setting:
    """What the translation depends on besides the request. resources: by instance type, as a spec says them. isolates:
    whether the engine can cut containers off from networks."""

    engine: Engine
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    isolates: bool = False


def job_document(
    request: Mapping[str, Any],
    setting: Setting,
    *,
    name: str,
    version: int,
    script: Script | None = None,
    source_dir: str = "",
) -> dict[str, Any]:
    """source_dir: where the script's files were put, from the spec's file. Refused for what cannot be had here."""
    algorithm, resources = request["AlgorithmSpecification"], request.get("ResourceConfig", {})
    instances = _instances(resources)
    mode = MODES[algorithm.get("TrainingInputMode", "File")]
    own_start = {} if script else _own_start(algorithm)
    program = _program(algorithm, setting.engine, script, has_own_start=bool(own_start))
    data = _data(request.get("InputDataConfig") or (), script)
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "name": name,
        "version": version,
        **program,
        **(_script(script, source_dir) if script else own_start),
        "hyperparameters": (decoded if script else hyperparameters)(request.get("HyperParameters") or {}),
        "channels": channels_of(data, mode, instances, algorithm=program.get("algorithm", "")),
        "input_mode": mode if mode != "file" else "",
        "instances": instances if instances != 1 else 0,
        "network": "none" if request.get("EnableNetworkIsolation") and setting.isolates else "",
        "resources": dict(setting.resources.get(resources.get("InstanceType", ""), {})),
        "environment": {key: as_text(value) for key, value in (request.get("Environment") or {}).items()},
        "metrics": [{"name": m["Name"], "regex": m["Regex"]} for m in algorithm.get("MetricDefinitions") or ()],
        "checkpoints": _checkpoints(request.get("CheckpointConfig")),
        "stopping": _stopping(request.get("StoppingCondition") or {}),
        **({"retries": retries["MaximumRetryAttempts"]} if (retries := request.get("RetryStrategy")) else {}),
    }
    return {key: value for key, value in document.items() if value or key == "retries"}


def what_is_left_out(request: Mapping[str, Any], setting: Setting) -> str:
    """What the spec does not say although it was asked for; '' for nothing that matters."""
    if request.get("EnableNetworkIsolation") and not setting.isolates:
        return "EnableNetworkIsolation is left out: processes cannot be cut off from the network."
    return ""


def headline(request: Mapping[str, Any]) -> str:
    """Where it comes from, and on what it would run at AWS."""
    image = request["AlgorithmSpecification"].get("TrainingImage", "")
    return ", ".join(part for part in (image, request.get("ResourceConfig", {}).get("InstanceType", "")) if part)


def _program(
    algorithm: Mapping[str, Any], engine: Engine, script: Script | None, *, has_own_start: bool
) -> dict[str, str]:
    image = algorithm.get("TrainingImage", "")
    if not image:
        raise Refused("sagespec has no AlgorithmName yet: name a TrainingImage")
    if has_own_start:  # which is for the image that it names, and not for one of ours
        if not engine.takes_images or (repository_of(image) and not engine.has_image(image)):
            raise Refused(
                f"ContainerEntrypoint and ContainerArguments need the image {image} itself, and it is not on this "
                "machine's Docker engine; with SDK 3, a source_code of an entry_script without command, args and "
                "further drivers needs no image"
            )
        return {"image": as_text(image)}
    return {key: as_text(value) for key, value in program_of(image, engine, has_script=script is not None).items()}


def _script(script: Script, source_dir: str) -> dict[str, Any]:
    found = {"source_dir": source_dir, "entry_point": script.entry_point, "distribution": script.distribution}
    return {key: value for key, value in found.items() if value}


def _own_start(algorithm: Mapping[str, Any]) -> dict[str, Any]:
    found = {"entrypoint": algorithm.get("ContainerEntrypoint"), "arguments": algorithm.get("ContainerArguments")}
    return {key: list(value) for key, value in found.items() if value}


def _data(channels: Sequence[Mapping[str, Any]], script: Script | None) -> list[Mapping[str, Any]]:
    """Without those of SDK 3's that only bring the script, once that is in the spec's own folder."""
    brings = (CODE, DRIVERS) if script and script.source.endswith("/") else ()
    return [channel for channel in channels if channel["ChannelName"] not in brings]


def _instances(resources: Mapping[str, Any]) -> int:
    if resources.get("InstanceGroups"):
        raise Refused("sagespec has no InstanceGroups yet: give InstanceCount and InstanceType")
    count = int(resources.get("InstanceCount", 1))
    if count < 1:
        raise Refused("InstanceCount is 0, and a job runs on at least one instance")
    return count


def _checkpoints(given: Mapping[str, Any] | None) -> dict[str, Any]:
    if not given:
        return {}
    path = given.get("LocalPath", _CHECKPOINTS).rstrip("/")
    return {"source": as_text(s3_uri(given["S3Uri"]))} | ({"path": path} if path != _CHECKPOINTS else {})


def _stopping(given: Mapping[str, Any]) -> dict[str, str]:
    runtime, wait = given.get("MaxRuntimeInSeconds", _DAY), given.get("MaxWaitTimeInSeconds")
    found = {"max_runtime": duration(runtime)} if runtime != _DAY else {}
    return found | ({"max_wait": duration(wait)} if wait else {})
