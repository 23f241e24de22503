"""Who may ask the gateway, as it is to be and as the gateway has it: names and hashes, never a key.

`resolve` makes it from sagespec.yaml, the gateway keeps it in its table, and `reconcile` compares the two. A key is
held as its SHA-256: from what the gateway is given, and shows to users of its machine, no key can be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sagespec.errors import Problem


@dataclass(frozen=True)
class Limit:
    """So many requests at once, and so many more within each so many seconds."""

    burst: int
    requests: int
    seconds: int

    @property
    def seconds_to_next(self) -> int:
        """How long it takes at most until another request may come."""
        return -(-self.seconds // self.requests)


@dataclass(frozen=True)
class AllowedCaller:
    """hashes: of the keys, in hexadecimal digits. endpoints: () for all.

    unread: whether a key could not be read; the gateway then keeps those that it has of this name.
    """

    name: str
    hashes: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    limit: Limit | None = None
    unread: bool = False

    def may_ask(self, endpoint_name: str) -> bool:
        return not self.endpoints or endpoint_name in self.endpoints


@dataclass(frozen=True)
class Certified:
    """What is known of a certificate. digest: of it and its key; '' of one that is still to be made."""

    digest: str
    ends_at: datetime | None = None
    names: tuple[str, ...] = ()


UNUSABLE = Certified("unusable")  # in place of one that cannot be used


@dataclass(frozen=True)
class Doors:
    """callers: sorted by name. limits: of endpoints, by name. hosts: further names to answer to; () for the usual.

    certificate: what the gateway shows; None without TLS. problems: why keys or certificate could not be used. The
    gateway then keeps what it has. in_clear: whether keys come over the network without TLS.
    """

    callers: tuple[AllowedCaller, ...] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    certificate: Certified | None = None
    problems: tuple[Problem, ...] = field(default=(), compare=False)
    in_clear: bool = field(default=False, compare=False)

    @property
    def needs_certificate(self) -> bool:
        """Whether one is to be shown that can be."""
        return self.certificate not in (None, UNUSABLE)

    def over(self, live: Doors) -> Doors:
        """What to give to a gateway that has `live`: keys that could not be read are those that it has."""
        had = {caller.name: caller.hashes for caller in live.callers}
        callers = (
            replace(caller, hashes=had.get(caller.name, ()), unread=False) if caller.unread else caller
            for caller in self.callers
        )
        kept = live.certificate if self.certificate == UNUSABLE else self.certificate
        return replace(self, callers=tuple(callers), certificate=kept, problems=())

    def changes_from(self, live: Doors) -> Iterator[tuple[str, str, str]]:
        """What differs, for people: what it is about, what it was and what it is to be; '' for what is not there."""
        before, now = ({caller.name: caller for caller in doors.callers} for doors in (live, self))
        for name in sorted(before.keys() | now.keys()):
            was, wanted = before.get(name), now.get(name)
            if was is None or wanted is None:
                yield f"caller {name}", "", "added" if wanted else "removed"
                continue
            if was.hashes != wanted.hashes:
                yield f"key of {name}", "", "changed"
            if was.endpoints != wanted.endpoints:
                yield f"endpoints of {name}", ", ".join(was.endpoints) or "all", ", ".join(wanted.endpoints) or "all"
            if was.limit != wanted.limit:
                yield f"rate of {name}", limit_text(was.limit), limit_text(wanted.limit)
        for name in sorted(live.limits.keys() | self.limits.keys()):
            if live.limits.get(name) != self.limits.get(name):
                yield f"rate of endpoint {name}", limit_text(live.limits.get(name)), limit_text(self.limits.get(name))
        if live.certificate != self.certificate and self.certificate:
            yield "certificate", "", "renewed" if live.certificate else "added"
        if live.hosts != self.hosts:
            yield "hosts", ", ".join(live.hosts) or "any", ", ".join(self.hosts) or "any"


NO_DOORS = Doors()  # everybody may ask, as often as they like


def limit_text(limit: Limit | None) -> str:
    """A limit as it is written in a spec: 100/s.

    >>> limit_text(Limit(100, 100, 1)), limit_text(Limit(5, 100, 60)), limit_text(None)
    ('100/s', '100/m with a burst of 5', 'none')
    """
    if limit is None:
        return "none"
    unit = {1: "s", 60: "m", 3600: "h"}.get(limit.seconds, f"{limit.seconds} s")
    burst = f" with a burst of {limit.burst}" if limit.burst != limit.requests else ""
    return f"{limit.requests}/{unit}{burst}"


def days_text(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"


def doors_as_json(doors: Doors) -> dict[str, Any]:
    return {
        "callers": [[c.name, c.hashes, c.endpoints, _as_json(c.limit)] for c in doors.callers],
        "limits": {name: _as_json(limit) for name, limit in sorted(doors.limits.items())},
        "hosts": doors.hosts,
        "certificate": _certificate_as_json(doors.certificate),
    }


def doors_from_json(value: Mapping[str, Any]) -> Doors:
    return Doors(
        callers=tuple(
            AllowedCaller(name, tuple(hashes), tuple(endpoints), _limit(limit))
            for name, hashes, endpoints, limit in value["callers"]
        ),
        limits={name: limit for name, given in value["limits"].items() if (limit := _limit(given))},
        hosts=tuple(value["hosts"]),
        certificate=_certificate(value["certificate"]),
    )


def _certificate_as_json(certificate: Certified | None) -> list[Any] | None:
    if certificate is None:
        return None
    ends_at = certificate.ends_at.isoformat() if certificate.ends_at else ""
    return [certificate.digest, ends_at, certificate.names]


def _certificate(value: Any) -> Certified | None:
    if not value:
        return None
    digest, ends_at, names = value
    return Certified(digest, datetime.fromisoformat(ends_at) if ends_at else None, tuple(names))


def _as_json(limit: Limit | None) -> list[int] | None:
    return [limit.burst, limit.requests, limit.seconds] if limit else None


def _limit(value: Any) -> Limit | None:
    return Limit(*(int(number) for number in value)) if value else None
