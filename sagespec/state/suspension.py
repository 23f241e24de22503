"""What somebody has suspended: until it is resumed, no run changes it, whatever the specs say and whatever dies."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sagespec.display import minute_text
from sagespec.state.addresses import Address
from sagespec.state.manifest import Record

PROJECT = "project"  # in place of an address: all of it


class Suspension(Record):
    """about: an address, or PROJECT. by: who, for people. until: when it ends without anybody's doing; None for
    never."""

    about: str
    reason: str
    by: str
    at: datetime
    until: datetime | None = None

    def covers(self, address: Address) -> bool:
        return self.about in (PROJECT, str(address.whole))

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now

    @property
    def text(self) -> str:
        """'suspended by ada since 2026-12-01 13:00 UTC until 15:00 UTC: figures look wrong'."""
        until = f" until {minute_text(self.until)}" if self.until else ""
        return f"suspended by {self.by} since {minute_text(self.at)}{until}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "reason": self.reason,
            "by": self.by,
            "since": self.at.isoformat(),
            "until": self.until.isoformat() if self.until else None,
        }


def is_suspended(suspensions: Iterable[Suspension], address: Address, now: datetime) -> bool:
    return any(one.covers(address) and not one.is_over(now) for one in suspensions)
