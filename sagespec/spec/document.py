"""What every document has: apiVersion, kind, and the update class of its fields.

The update class decides what a change of a field does: `state.revision` sorts by it what an endpoint asks for, and
docs/spec.md shows it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from sagespec.spec.values import (
    SpecModel,
)

API_VERSION = "sagespec/v1"


class Update(StrEnum):
    """What a change of an endpoint's field does to what runs."""

    ROUTE = "route"  # the gateway only, no container touched
    SCALE = "scale"  # containers added or removed, none replaced
    REPLACE = "replace"  # new containers take over from the old ones
    NONE = "none"  # how sagespec goes about it; nothing live changes


class DocumentSpec(SpecModel):
    """What every document starts with."""

    apiVersion: Literal["sagespec/v1"] = Field(examples=[API_VERSION])
    """The format of this document."""


def update_class(model: type[SpecModel], field: str) -> Update:
    """The update class declared on `model.field`; REPLACE when none is declared, which is the safe reading."""
    return next((mark for mark in model.model_fields[field].metadata if isinstance(mark, Update)), Update.REPLACE)
