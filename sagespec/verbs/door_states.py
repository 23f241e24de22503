"""Who may ask the gateway, for `status`: callers by name, limits, and how long the certificate is good. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sagespec.state.doors import AllowedCaller, Doors, days_text, limit_text


@dataclass(frozen=True)
class DoorStates:
    """As the gateway has them. at: when it was looked."""

    doors: Doors
    at: datetime

    @property
    def parts(self) -> tuple[str, ...]:
        """What there is to say, in a few words each: 'callers crm (churn), shop'."""
        doors = self.doors
        limits = [f"{name} {limit_text(limit)}" for name, limit in sorted(doors.limits.items())]
        return (
            *([self.certificate_text] if doors.certificate else []),
            *([f"callers {', '.join(map(_caller_text, doors.callers))}"] if doors.callers else []),
            *([f"at most {', '.join(limits)}"] if limits else []),
            *([f"hosts {', '.join(doors.hosts)}"] if doors.hosts else []),
        )

    def parts_of(self, endpoint_name: str) -> tuple[str, ...]:
        """What of it there is to say of one endpoint."""
        doors = self.doors
        callers = [replace(caller, endpoints=()) for caller in doors.callers if caller.may_ask(endpoint_name)]
        limit = doors.limits.get(endpoint_name)
        return (
            *([f"callers {', '.join(map(_caller_text, callers)) or 'none'}"] if doors.callers else []),
            *([f"at most {limit_text(limit)}"] if limit else []),
            *([self.certificate_text] if doors.certificate else []),
        )

    @property
    def days_left(self) -> int | None:
        """Of the certificate; negative once it has expired."""
        ends_at = self.doors.certificate.ends_at if self.doors.certificate else None
        return (ends_at - self.at).days if ends_at else None

    @property
    def certificate_text(self) -> str:
        days = self.days_left
        if days is None:
            return "no certificate yet"
        if days < 0:
            return "the certificate has expired"
        return f"certificate expires in {days_text(days)}"

    def as_json(self) -> dict[str, Any]:
        certificate = self.doors.certificate
        ends_at = certificate.ends_at if certificate else None
        return {
            "callers": [
                {"name": caller.name, "endpoints": list(caller.endpoints), "rate": _rate(caller)}
                for caller in self.doors.callers
            ],
            "rates": {name: limit_text(limit) for name, limit in sorted(self.doors.limits.items())},
            "hosts": list(self.doors.hosts),
            "certificate": {"names": list(certificate.names), "ends_at": ends_at.isoformat() if ends_at else None}
            if certificate
            else None,
        }


def _rate(caller: AllowedCaller) -> str | None:
    return limit_text(caller.limit) if caller.limit else None


def _caller_text(caller: AllowedCaller) -> str:
    about = [*caller.endpoints, *([limit_text(caller.limit)] if caller.limit else [])]
    return f"{caller.name} ({', '.join(about)})" if about else caller.name
