"""Asks SageMaker for what is to be imported. Credentials, profile and endpoint are as boto3 finds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from sagespec.errors import WorldError

_CONFIG = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
_DENIED = (
    *("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "ExpiredTokenException"),
    *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch"),
)
_MISSING = ("not found", "could not find", "does not exist")

Description = Mapping[str, Any]


class SageMaker:
    """region: '' for the usual one."""

    def __init__(self, region: str = "") -> None:
        with _problems("SageMaker"):
            session = boto3.session.Session()
            self._client: Any = session.client("sagemaker", region_name=region or None, config=_CONFIG)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self._client.meta.region_name} ({self._client.meta.endpoint_url})"

    def job(self, name: str) -> Description | None:
        return self._described("training job", name, self._client.describe_training_job, TrainingJobName=name)

    def endpoint(self, name: str) -> Description | None:
        return self._described("endpoint", name, self._client.describe_endpoint, EndpointName=name)

    def config(self, name: str) -> Description:
        ask = self._client.describe_endpoint_config
        return self._there(
            "endpoint config", name, self._described("endpoint config", name, ask, EndpointConfigName=name)
        )

    def model(self, name: str) -> Description:
        ask = self._client.describe_model
        return self._there("model", name, self._described("model", name, ask, ModelName=name))

    def _there(self, kind: str, name: str, found: Description | None) -> Description:
        if found is None:
            raise WorldError(f"there is no {kind} {name} in {self.place} any more", fix="import its models one by one")
        return found

    def _described(self, kind: str, name: str, ask: Any, **given: str) -> Description | None:
        """None where there is none."""
        with _problems(f"{kind} {name}"):
            try:
                found: Description = ask(**given)
            except aws.ClientError as error:
                said = error.response.get("Error", {})
                if said.get("Code") in _DENIED or not any(part in said.get("Message", "").lower() for part in _MISSING):
                    raise
                return None
        return found


@contextmanager
def _problems(what: str) -> Iterator[None]:
    try:
        yield
    except aws.NoRegionError:
        raise WorldError(f"{what}: no AWS region is set", fix="name one with --region, or set AWS_REGION") from None
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.ProfileNotFound) as error:
        raise WorldError(f"{what}: {error}", fix="give AWS credentials, as boto3 finds them") from None
    except aws.ClientError as error:
        said = error.response.get("Error", {})
        denied = said.get("Code") in _DENIED or error.response["ResponseMetadata"].get("HTTPStatusCode") == 403
        problem = "may not be read" if denied else f"was refused ({said.get('Code', '')})"
        fix = (
            "check what your AWS user or role may do: sagemaker:Describe*"
            if denied
            else "check its name and the region"
        )
        raise WorldError(f"{what} {problem}", why=said.get("Message", "").partition("\n")[0], fix=fix) from None
    except (aws.BotoCoreError, ValueError) as error:
        raise WorldError(
            f"{what}: SageMaker does not answer ({error})", fix="check the network and the region"
        ) from None
