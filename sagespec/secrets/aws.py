"""Asks AWS for secrets: Secrets Manager and the parameters of Systems Manager, with the usual settings of AWS.

Both keep versions, so that whether a secret is another one is found out without reading it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from sagespec.errors import WorldError
from sagespec.secrets.asking import checked
from sagespec.spec.secrets import SecretSource

_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3, "mode": "standard"})
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def version_in_aws(source: SecretSource) -> str:
    """The present version of a secret, which is not read for it where our rights allow that."""
    with _problems(source):
        if source.provider == "ssm":
            return str(_client("ssm").get_parameter(Name=source.place)["Parameter"]["Version"])
        client = _client("secretsmanager")
        try:
            described = client.describe_secret(SecretId=source.place)
        except aws.ClientError as error:
            if error.response["Error"]["Code"] not in _DENIED:
                raise
            return str(client.get_secret_value(SecretId=source.place)["VersionId"])
        versions = described.get("VersionIdsToStages", {})
        found = next((version for version, stages in versions.items() if "AWSCURRENT" in stages), "")
    if not found:
        raise WorldError(f"{source} has no current version", fix="put a value there")
    return str(found)


def read_from_aws(source: SecretSource) -> tuple[str, str]:
    """The secret, and its version."""
    with _problems(source):
        if source.provider == "ssm":
            parameter = _client("ssm").get_parameter(Name=source.place, WithDecryption=True)["Parameter"]
            return checked(parameter["Value"], str(source)), str(parameter["Version"])
        found = _client("secretsmanager").get_secret_value(SecretId=source.place)
    if "SecretString" not in found:
        raise WorldError(f"{source} holds no text", fix="keep it as text: base64, for example")
    text = _field(source, found["SecretString"]) if source.field else found["SecretString"]
    return checked(text, str(source)), str(found["VersionId"])


def _field(source: SecretSource, text: str) -> str:
    try:
        value = json.loads(text)[source.field]
    except (ValueError, KeyError, TypeError):
        what = f"aws:{source.place} has no field {source.field}"
        raise WorldError(what, fix="name a field of the JSON object that it is, or leave out # for the whole") from None
    return value if isinstance(value, str) else json.dumps(value)


def _client(service: str) -> Any:
    # Of a session of its own: the usual one keeps the credentials with which it was first asked.
    return boto3.session.Session().client(service, config=_CONFIG)  # type: ignore[call-overload]  # its name is one of many literals


@contextmanager
def _problems(source: SecretSource) -> Iterator[None]:
    try:
        yield
    except aws.NoRegionError:
        raise WorldError(f"{source}: no AWS region is set", fix="set AWS_REGION, or region in ~/.aws/config") from None
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.ProfileNotFound) as error:
        raise WorldError(f"{source}: {error}", fix="give AWS credentials, as for the store") from None
    except aws.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        is_missing = code in ("ResourceNotFoundException", "ParameterNotFound")
        what = "does not exist" if is_missing else "may not be read" if code in _DENIED else f"was refused ({code})"
        fix = "check its name and the region" if is_missing else "check what your AWS user or role may do"
        raise WorldError(f"{source} {what}", fix=fix) from None
    except aws.BotoCoreError as error:
        raise WorldError(f"{source}: AWS does not answer ({type(error).__name__})", fix="check the network") from None
