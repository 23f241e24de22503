"""How many requests an endpoint's instances are asked at once, and how many wait at the gateway.

`endpoint` has it as a field; `gateway.queueing` says it to Envoy.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sagespec.spec.document import Update
from sagespec.spec.values import SpecModel, wrong


class Limits(SpecModel):
    """How many requests instances are asked at once, and how many wait for their turn."""

    concurrency: Annotated[int | None, Field(ge=1, le=10_000), Update.ROUTE] = None
    """Requests that one instance is asked at the same time; others wait at the gateway. Default: an instance gets each
    request at once, and lets it wait."""
    queue: Annotated[int, Field(ge=1, le=100_000), Update.ROUTE] = 100
    """Requests that wait for each instance; up to `concurrency` more may. The others are answered with 503 and
    Retry-After at once."""

    @model_validator(mode="after")
    def _queue_needs_concurrency(self) -> Limits:
        if self.concurrency is None and "queue" in self.model_fields_set:
            raise wrong("nothing waits at the gateway without concurrency", "add concurrency: 4", at=("queue",))
        return self
