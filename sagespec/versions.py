"""What a new version of a job is: how it differs from the version before, and how good that one is.

Part of a plan, for whoever reviews it before the new version is trained. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sagespec.causes import Change
from sagespec.state.addresses import Address

MOST_TOLD = 6  # metrics


@dataclass(frozen=True)
class NewVersion:
    """changes: of its spec since `before`. data: channels with other data at the same place. metrics: of `before`.
    serves: the variants that serve that one now."""

    about: Address
    before: Address
    changes: tuple[Change, ...] = ()
    data: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    serves: tuple[Address, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """What is another than before, for people."""
        data = [f"data of channel {name}" for name in self.data]
        return (*map(str, self.changes), *data) or ("nothing that its spec says",)

    @property
    def standing(self) -> tuple[str, ...]:
        """How good the version before is, and where it serves, as far as that is known."""
        metrics = [f"{name} {value:.6g}" for name, value in list(self.metrics.items())[:MOST_TOLD]]
        return (*metrics, *(f"live in {address}" for address in self.serves))

    @property
    def text(self) -> str:
        earlier = f"{self.before.name}@{self.before.version}"
        more = f" ({earlier}: {', '.join(self.standing)})" if self.standing else ""
        return f"{self.about} differs from {earlier} in: {', '.join(self.differences)}{more}"

    def as_json(self) -> dict[str, Any]:
        return {
            "about": str(self.about),
            "before": str(self.before),
            "changes": [change.as_json() for change in self.changes],
            "data": list(self.data),
            "metrics": dict(self.metrics),
            "serves": [str(address) for address in self.serves],
        }
