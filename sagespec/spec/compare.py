"""How the variants of an endpoint are compared: which one with the others, and how sure a verdict is to be.

`endpoint` has it as a field. It changes nothing that runs, and is in no record: a comparison reads it from the spec.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from sagespec.spec.document import Update
from sagespec.spec.values import Name, SpecModel, quoted, wrong

DEFAULT_ALPHA = "5%"
ALPHA_PATTERN = r"^[0-9]{1,2}(\.[0-9]{1,3})? ?%$"


def _check_alpha(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    value = str(value)
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,3})?) ?%", value)
    if not match or not 0 < float(match[1]) <= 50:
        raise wrong(f"{quoted(value)} is not a share of false verdicts", "write a percentage up to 50%, e.g. 5%")
    return f"{match[1]}%"


class Reward(SpecModel):
    """What the numbers mean that are fed back for predictions."""

    least: Annotated[float, Update.NONE] = 0.0
    """The smallest reward there can be."""
    most: Annotated[float, Update.NONE] = 1.0
    """The largest reward there can be."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Reward:
        if self.least >= self.most:
            raise wrong(
                f"least {self.least:g} is not below most {self.most:g}", "give a range of numbers", at=("least",)
            )
        return self


class Compare(SpecModel):
    """How `sagespec compare` judges the variants."""

    control: Annotated[Name | None, Update.NONE] = None
    """The variant that the others are compared with. Default: the first one."""
    alpha: Annotated[str, BeforeValidator(_check_alpha), Update.NONE] = Field(
        default=DEFAULT_ALPHA, examples=["5%"], json_schema_extra={"pattern": ALPHA_PATTERN}
    )
    """The share of comparisons of equal variants that may end in a verdict all the same, however often one looks."""
    reward: Annotated[Reward, Update.NONE] = Reward()
    """The range of the rewards that `sagespec feedback` brings; the more, the better."""

    @property
    def level(self) -> float:
        return float(self.alpha.rstrip("% ")) / 100
