"""Which changes of a commit wait until somebody approves them: `approve` of a Source."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from sagespec.spec.values import SpecModel, wrong


class ChangeClass(StrEnum):
    """What a commit does to what runs. Changes of other settings ask nobody."""

    ROUTE = "route"  # weights and the split: no container is touched
    SCALE = "scale"  # instances come or go, of what serves already
    REPLACE = "replace"  # other containers serve: a new endpoint, another model
    REMOVE = "remove"  # an endpoint, a variant, a notebook or a running job goes
    TRAIN = "train"  # a job is begun


_Kind = Annotated[ChangeClass, Field(strict=False)]


class Approve(SpecModel):
    """Which changes are applied at once, and which wait for `sagespec source approve`. Repairs never wait."""

    auto: tuple[_Kind, ...] | None = Field(default=None, strict=False, examples=[["route", "scale"]])
    """What is applied at once. Default: all that is not in `ask`."""
    ask: tuple[_Kind, ...] = Field(default=(), strict=False, examples=[["replace", "remove", "train"]])
    """What waits. A commit with any of these waits as a whole."""

    @model_validator(mode="after")
    def _each_is_in_one(self) -> Approve:
        if both := sorted(set(self.auto or ()) & set(self.ask)):
            raise wrong(f"{both[0]} is in auto and in ask", "leave it in one of the two", at=("ask",))
        return self

    @property
    def asks(self) -> frozenset[ChangeClass]:
        others = frozenset() if self.auto is None else frozenset(ChangeClass) - set(self.auto)
        return others | frozenset(self.ask)
