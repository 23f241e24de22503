"""What a model must have measured before an endpoint gives it traffic.

`rollout` has it as a field. It changes nothing that runs, and is in no record: `reconcile` reads it from the spec, and
the metrics from manifests.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sagespec.spec.document import Update
from sagespec.spec.values import SpecModel, wrong

MAXIMIZE, MINIMIZE = "maximize", "minimize"
_ROUNDING = 1e-9  # of a difference, which is not exact: 0.806 - 0.801 is more than 0.005


class Gate(SpecModel):
    """What a model must have measured before it gets traffic. One that did not measure it gets none."""

    metric: Annotated[str, Update.NONE, Field(min_length=1, max_length=255)] = Field(examples=["validation:auc"])
    """The metric of the job that trained it, as `sagespec status` names it; its last value counts."""
    min: Annotated[float | None, Update.NONE] = Field(default=None, examples=[0.78])
    """It must be at least this."""
    max: Annotated[float | None, Update.NONE] = None
    """It must be at most this."""
    worse_than_live_by_at_most: Annotated[float | None, Field(ge=0), Update.NONE] = None
    """How much worse it may be than that of the model that has most of the traffic now; 0 for not at all."""
    objective: Annotated[Literal["maximize", "minimize"] | None, Update.NONE] = None
    """Which values are better. Default: minimize where max is given, otherwise maximize."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Gate:
        if self.min is None and self.max is None and self.worse_than_live_by_at_most is None:
            raise wrong("asks for nothing", "give min, max or worse_than_live_by_at_most")
        if self.min is not None and self.max is not None:
            raise wrong("has both min and max", "give the one that the metric must reach", at=("max",))
        for name, other in (("min", MINIMIZE), ("max", MAXIMIZE)):
            if getattr(self, name) is not None and self.objective == other:
                raise wrong(f"does not go with objective {other}", "remove one of them", at=(name,))
        return self

    @property
    def is_minimized(self) -> bool:
        return self.objective == MINIMIZE or self.max is not None

    def objection(self, value: float) -> str:
        """What is wrong with a value whatever is live, e.g. `is below 0.78`; '' for nothing. Also of what is no number.

        >>> Gate(metric="auc", min=0.78).objection(0.741)
        'is below the least, 0.78'
        """
        if value != value:  # as NaN does
            return "is not a number"
        if self.min is not None and value < self.min:
            return f"is below the least, {self.min:g}"
        if self.max is not None and value > self.max:
            return f"is above the most, {self.max:g}"
        return ""

    def is_too_much_worse(self, value: float, live: float) -> bool:
        """Whether a value is worse than that of what is live, by more than it may be.

        >>> Gate(metric="loss", max=1.0, worse_than_live_by_at_most=0.005).is_too_much_worse(0.806, 0.801)
        False
        """
        if self.worse_than_live_by_at_most is None:
            return False
        by = value - live if self.is_minimized else live - value
        return not by <= self.worse_than_live_by_at_most + _ROUNDING * max(abs(value), abs(live))
