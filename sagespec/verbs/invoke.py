"""Sends one request to an endpoint through the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST_BODY_BYTES = 25 * 2**20  # what images/gateway lets requests be


INVOKE_TIMEOUT_SECONDS = 70.0  # the gateway answers for a model that takes 60 s


@dataclass(frozen=True)
class Answer:
    """What an endpoint answered; `variant` is the InvokedProductionVariant."""

    status: int
    body: bytes
    content_type: str
    variant: str
    headers: Mapping[str, str]
