"""AWS's own names of the hosts of its services: clients have signed for these where something else leads them here."""

from __future__ import annotations

from functools import cache

from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from sagespec.api.models import SERVICES, model_of

_GLOBAL = {"sts": "sts.amazonaws.com", "s3": "s3.amazonaws.com"}  # which older clients call in every region


@cache
def own_hosts(service: str, region: str) -> tuple[str, ...]:
    """Of a service that is here, by the name that requests are signed for; () for any other.

    >>> own_hosts("sagemaker", "eu-central-1"), own_hosts("iam", "us-east-1")
    (('api.sagemaker.eu-central-1.amazonaws.com',), ('iam.amazonaws.com',))
    """
    if service not in SERVICES and service != "s3":
        return ()
    prefix = "s3" if service == "s3" else model_of(service).endpoint_prefix
    found = _resolver().construct_endpoint(prefix, region)
    names = (found["hostname"] if found else "", _GLOBAL.get(service, ""))
    return tuple(name for name in names if name)


@cache
def _resolver() -> EndpointResolver:
    return EndpointResolver(Loader().load_data("endpoints"))
