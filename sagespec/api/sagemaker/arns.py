"""Names that AWS gives to things: arn:aws:sagemaker:us-east-1:000000000000:training-job/churn. And what it says of
things that are not there, or are there already: clients look for these words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.api.errors import ApiError
from sagespec.api.sagemaker.records import KINDS, Kept, KeptJob, SageMakerRecords
from sagespec.api.service import Service


def records_of(service: Service) -> SageMakerRecords:
    parts = service.project.parts
    return SageMakerRecords(parts.store, parts.settings.name, service.memory)


def arn_of(service: Service, kind: type[Kept], name: str) -> str:
    return service.arn(kind.arn_kind, name)


def invalid(text: str) -> ApiError:
    return ApiError("ValidationException", text)


def not_found(service: Service, kind: type[Kept], name: str) -> ApiError:
    if kind is KeptJob:
        return invalid("Requested resource not found.")
    return invalid(f'Could not find {kind.noun} "{arn_of(service, kind, name)}".')


def exists_already(service: Service, kind: type[Kept], name: str) -> ApiError:
    arn = arn_of(service, kind, name)
    if kind is KeptJob:
        text = "Job name must be unique within an AWS account and region, and a job with this name already exists"
        return ApiError("ResourceInUse", f"{text} ({arn})")
    return invalid(f'Cannot create already existing {kind.noun} "{arn}".')


def kind_and_name(arn: str) -> tuple[type[Kept], str] | None:
    """What an ARN names; None for what is not kept here."""
    kind_text, _, name = arn.rpartition(":")[2].partition("/")
    kind = next((kind for kind in KINDS if kind.arn_kind == kind_text), None)
    return (kind, name) if kind and name else None


def tags_of(given: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in given or ()}
