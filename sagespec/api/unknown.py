"""What is said of operations that are not here: SageMaker's larger parts by their names, all others in general."""

from __future__ import annotations

import re

from sagespec.api.errors import ApiError, not_yet

# By what stands in an operation's name.
_PARTS = (
    ("HyperParameterTuning|TrainingJobsForHyper", "hyperparameter tuning"),
    ("TransformJob", "batch transform"),
    ("ProcessingJob", "processing jobs"),
    ("ModelPackage|ModelCard", "model registry"),
    ("Pipeline", "pipelines"),
    ("Experiment|Trial|Artifact|Action|Context|Association|Lineage", "experiments and lineage of SageMaker's own"),
    ("InferenceComponent", "inference components"),
    ("InferenceRecommendation|InferenceExperiment", "inference recommendations"),
    ("AutoML", "AutoML"),
    ("Feature", "feature store"),
    ("Monitor|DataQuality|ModelQuality|ModelBias|Explainability", "model monitoring"),
    ("Notebook", "git repositories of notebook instances"),
    ("Cluster", "HyperPod clusters"),
    ("Domain|UserProfile|Space|App|Studio", "Studio"),
    ("Labeling|Workteam|Workforce|HumanTask|FlowDefinition", "labeling"),
    ("Edge|Device|Compilation|Optimization", "compilation for devices"),
    ("Mlflow|TrackingServer", "tracking servers"),
    ("Algorithm", "algorithms of SageMaker's marketplace"),
)


def unknown_operation(service: str, name: str) -> ApiError:
    """What to answer for an operation that sagespec does not have."""
    if not name:
        needs = "an Action" if service in ("sts", "iam") else "an X-Amz-Target header"
        return ApiError("UnknownOperationException", f"this request names no operation of {service}: it needs {needs}")
    found = next((what for pattern, what in _PARTS if service == "sagemaker" and re.search(pattern, name)), "")
    if found:
        return not_yet(f"{found}: {name[:100]}")
    text = f"sagespec has no {name[:100]} of {service[:60]}"
    return ApiError("UnknownOperationException", text)


def unknown_service(service: str) -> ApiError:
    text = f"sagespec answers for sagemaker, logs, monitoring, sts, iam and s3, not for {service[:60]}"
    return ApiError("UnknownOperationException", text)
