"""When a job is to be trained once more, as its next version, and which variant may serve what comes of it.

`job` has it as a field. It decides nothing of a training, so it is in no key and no manifest: `verbs.due` reads it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from sagespec.spec.schedule import parse_schedule
from sagespec.spec.values import ChannelName, Name, Seconds, SpecModel, wrong

DAY = 86400.0


def _check_schedule(value: str) -> str:
    parse_schedule(value)
    return value


class Assignment(SpecModel):
    """Which variant is to serve a new version."""

    endpoint: Name = Field(examples=["churn"])
    """An endpoint of the specs."""
    variant: Name = Field(examples=["candidate"])
    """One of its variants; it is added where there is none of this name."""
    weight: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Its weight then. Default: the one it has."""


class Retrain(SpecModel):
    """When `sagespec bump --due` asks for the next version of a job."""

    schedule: Annotated[str, AfterValidator(_check_schedule), Field(max_length=100)] | None = Field(
        default=None, examples=["0 3 * * 1"]
    )
    """When, as cron writes it, in UTC: minute, hour, day of the month, month, day of the week."""
    on_data: Annotated[tuple[ChannelName, ...], Field(strict=False, max_length=20)] = Field(
        default=(), examples=[["train"]]
    )
    """Channels whose data, once they differ from what the newest version was trained with, ask for another one."""
    settle: Seconds = 1800.0
    """The newest object of such a channel must be older than this, so that nothing half uploaded is trained with."""
    at_most_every: Seconds = DAY
    """Not again before the newest version is older than this."""
    assign: Assignment | None = None
    """Which variant is to serve the new version, once it is trained."""

    @model_validator(mode="after")
    def _has_a_reason(self) -> Retrain:
        if self.schedule is None and not self.on_data:
            raise wrong("names nothing that asks for a new version", "give schedule, on_data, or both")
        return self
