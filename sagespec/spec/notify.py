"""Who hears of failures and repairs: `notify` in sagespec.yaml."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

from pydantic import Field

from sagespec.spec.secrets import SecretReference
from sagespec.spec.values import SpecModel


class Topic(StrEnum):
    """What a message is about."""

    FAILED = "failed"  # a job, an endpoint's revision, a commit with wrong specs
    HELD = "held"  # a commit that is not applied
    ROLLED_BACK = "rolled_back"  # a spec that stays aside, since it was rolled back or taken back
    GATE_FAILED = "gate_failed"  # a model that is not good enough to get traffic
    DRIFT = "drift"  # something was repaired
    FLAPPING = "flapping"  # it does not stay repaired
    TRAINED = "trained"  # a job has a model
    SUSPENDED = "suspended"  # somebody keeps it from being changed
    RECOVERED = "recovered"  # one of these is over


TopicWord = Literal[
    "failed", "held", "rolled_back", "gate_failed", "drift", "flapping", "trained", "suspended", "recovered"
]  # of Topic


class Notify(SpecModel):
    """Somebody who gets a message when a state changes, while `sagespec watch` runs."""

    url: SecretReference = Field(examples=[{"secret": "slack"}])
    """The secret that holds the address to which messages are POSTed: {secret: NAME}."""
    form: Literal["json", "slack"] = "json"
    """json: an object with all that is known. slack: a line of text, as Slack, Mattermost and others take it."""
    on: tuple[TopicWord, ...] = Field(
        default=get_args(TopicWord), strict=False, examples=[["failed", "held", "recovered"]]
    )
    """What messages are about. Default: everything."""
    key: SecretReference | None = None
    """A secret with which messages are signed: X-Sagespec-Signature is sha256= and the HMAC of the body."""
