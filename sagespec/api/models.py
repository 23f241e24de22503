"""AWS's own descriptions of its services, as botocore carries them: the shapes of requests and results."""

from __future__ import annotations

from functools import cache

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

# By the name that requests are signed for: botocore's name of the service.
SERVICES = {"sagemaker": "sagemaker", "logs": "logs", "monitoring": "cloudwatch", "sts": "sts", "iam": "iam"}


@cache
def model_of(service: str) -> ServiceModel:
    """The model of a service of SERVICES."""
    name = SERVICES[service]
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def operation_of(service: str, name: str) -> OperationModel | None:
    """The model of an operation; None when AWS has none of that name, as far as our botocore knows."""
    model = model_of(service)
    return model.operation_model(name) if name in model.operation_names else None


@cache
def target_prefixes() -> dict[str, str]:
    """By the first word of X-Amz-Target: the service."""
    return {model_of(service).metadata.get("targetPrefix", service): service for service in SERVICES}
