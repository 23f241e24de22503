"""What every document has: apiVersion, kind, and the update class of its fields.

The update class decides what changing a field does: `state.revision` sorts the fields of an endpoint by it, and
docs/spec.md shows it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from sagespec.spec.values import SpecModel

API_VERSION = "sagespec/v1"


class Update(StrEnum):
    """What changing an endpoint's field does to what is running."""

    ROUTE = "route"  # the gateway only, no container touched
    SCALE = "scale"  # containers added or removed, none replaced
    REPLACE = "replace"  # new containers take over from the old ones
    NONE = "none"  # how sagespec makes later changes; nothing live changes


class DocumentSpec(SpecModel):
    """What every document starts with."""

    apiVersion: Literal["sagespec/v1"] = Field(examples=[API_VERSION])
    """The format of this document."""


def update_class(model: type[SpecModel], field: str) -> Update:
    """The update class declared on `model.field`; REPLACE when none is declared, which is the safe assumption."""
    return next((mark for mark in model.model_fields[field].metadata if isinstance(mark, Update)), Update.REPLACE)
