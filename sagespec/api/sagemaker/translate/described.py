"""What SageMaker says of a job or an endpoint, as what clients would have sent for it, and what of it has no word here.

Pure. The documents themselves are `jobs`' and `endpoints`', as for any request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sagespec.api.sagemaker.translate.channels import MODES, channels_of
from sagespec.api.sagemaker.translate.plain import as_text, s3_uri
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.state.secrets import is_secret_field

Object = Mapping[str, Any]

NOT_IN_CLEAR = "looks secret: name a secret, {secret: …}"

# Fields that no spec has a word for. One that is empty, or false, is not missed.
_OF_JOB = (
    *("AlgorithmSpecification.EnableSageMakerMetricsTimeSeries", "DebugHookConfig", "DebugRuleConfigurations"),
    *("EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "ExperimentConfig", "InfraCheckConfig"),
    *("ModelPackageConfig", "OutputDataConfig.KmsKeyId", "ProfilerConfig", "ProfilerRuleConfigurations"),
    *("RemoteDebugConfig", "ResourceConfig.KeepAlivePeriodInSeconds", "ResourceConfig.VolumeKmsKeyId"),
    *("ServerlessJobConfig", "TensorBoardOutputConfig", "TuningJobArn", "VpcConfig"),
)
_OF_CONFIG = ("DataCaptureConfig", "EnableNetworkIsolation", "ExplainerConfig", "KmsKeyId", "VpcConfig")
_OF_VARIANT = (
    *("AcceleratorType", "CoreDumpConfig", "ManagedInstanceScaling", "RoutingConfig", "InferenceAmiVersion"),
    *("CapacityReservationConfig", "EnableSSMAccess"),
)
_OF_MODEL = ("EnableNetworkIsolation", "InferenceExecutionConfig", "VpcConfig")
_OF_CONTAINER = (
    "ImageConfig.RepositoryAuthConfig",
    "InferenceSpecificationName",
    "ModelDataSource.S3DataSource.HubAccessConfig",
)


def why_unfinished(description: Object) -> str:
    """Why a training job has no model; '' where it has completed."""
    status = description["TrainingJobStatus"]
    reason = description.get("FailureReason", "")
    return "" if status == "Completed" else f"{status}: {reason}" if reason else status


def job_request(description: Object, *, is_builtin: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request of CreateTrainingJob that would train it here, and what was left out of it, field by field.

    is_builtin: whether one of our algorithms is in the place of its image: ours know their own metrics.
    """
    found, secrets = without_secrets(description)
    left_out = [*_unsaid(description, _OF_JOB), *secrets]
    algorithm = dict(description["AlgorithmSpecification"])
    if is_builtin:
        algorithm.pop("MetricDefinitions", None)
    mode = MODES[algorithm.get("TrainingInputMode", "File")]
    channels = []
    for channel in description.get("InputDataConfig") or ():
        try:
            channels_of([channel], mode, 1)
        except Refused as refused:
            left_out.append(f"InputDataConfig: {refused}")
        else:
            channels.append(channel)
    resources = dict(description.get("ResourceConfig") or {})
    if groups := resources.pop("InstanceGroups", None):
        left_out.append("ResourceConfig.InstanceGroups")
        resources["InstanceCount"] = sum(group.get("InstanceCount", 0) for group in groups) or 1
    resources["InstanceCount"] = resources.get("InstanceCount") or 1
    found |= {"AlgorithmSpecification": algorithm, "InputDataConfig": channels, "ResourceConfig": resources}
    return found, tuple(left_out)


def without_secrets(description: Object) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A job or container without the variables that look secret, since its spec is to be committed; and those."""
    given: Mapping[str, str] = description.get("Environment") or {}
    kept = {name: value for name, value in given.items() if not is_secret_field(f"environment.{name}", value)}
    found = dict(description) | ({"Environment": kept} if given else {})
    return found, tuple(f"Environment.{name} {NOT_IN_CLEAR}" for name in given if name not in kept)


def imported_from(description: Object) -> str | dict[str, Any]:
    """Where the job's model is, with what it scored."""
    source = as_text(s3_uri((description.get("ModelArtifacts") or {}).get("S3ModelArtifacts", "")))
    if not source.endswith(".tar.gz"):
        raise Refused(f"its model is {source or 'nowhere'}, and not a model.tar.gz")
    metrics = {one["MetricName"]: float(one["Value"]) for one in description.get("FinalMetricDataList") or ()}
    finite = {name: value for name, value in metrics.items() if abs(value) < float("inf")}
    return {"source": source, "metrics": finite} if finite else source


def config_now(endpoint: Object, config: Object) -> dict[str, Any]:
    """The endpoint's config with the weights and counts of now, which may have been changed since."""
    now = {one["VariantName"]: one for one in endpoint.get("ProductionVariants") or ()}
    variants = []
    for variant in config["ProductionVariants"]:
        there = now.get(variant["VariantName"], {})
        changed = {"InitialVariantWeight": "CurrentWeight", "InitialInstanceCount": "CurrentInstanceCount"}
        variants.append(
            dict(variant) | {name: there[own] for name, own in changed.items() if there.get(own) is not None}
        )
    return dict(config) | {"ProductionVariants": variants}


def left_out_of_endpoint(config: Object, models: Mapping[str, Object]) -> tuple[str, ...]:
    """models: as DescribeModel has them, by name."""
    found = [*_unsaid(config, _OF_CONFIG)]
    for variant in config["ProductionVariants"]:
        found += [f"{variant['VariantName']}: {field}" for field in _unsaid(variant, _OF_VARIANT)]
    for name, model in models.items():
        found += [f"model {name}: {field}" for field in _unsaid(model, _OF_MODEL)]
        container = model.get("PrimaryContainer") or {}
        found += [f"model {name}: {field}" for field in _unsaid(container, _OF_CONTAINER)]
    return tuple(found)


def _unsaid(description: Object, fields: tuple[str, ...]) -> Iterator[str]:
    for field in fields:
        value: Any = description
        for name in field.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value:
            yield field
