"""Addresses: one spelling for every thing, in plans, labels, events, errors and tests.

Made by `resolve` from specs and by the runtimes from labels; read back from what a person types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["job", "endpoint", "notebook", "model", "gateway"]
_ADDRESS = re.compile(
    r"^(?P<kind>job|endpoint|notebook|model|gateway)"
    r"(?:/(?P<name>[a-zA-Z0-9-]+)(?:@(?P<version>\d+))?(?:/(?P<variant>[a-zA-Z0-9-]+))?(?:#(?P<instance>\d+))?)?$"
)


@dataclass(frozen=True, order=True)
class Address:
    """How everything is named: `job/churn@3`, `endpoint/churn`, `endpoint/churn/candidate#0`, `notebook/work`,
    `model/churn`, `gateway`.

    `instance` counts from 0 and is None for the whole; host algo-1 of a job is instance 0.

    >>> str(Address.parse("endpoint/churn/candidate#0"))
    'endpoint/churn/candidate#0'
    """

    kind: Kind
    name: str = ""
    version: int = 0
    variant: str = ""
    instance: int | None = None

    def __str__(self) -> str:
        text = self.kind + (f"/{self.name}" if self.name else "")
        text += f"@{self.version}" if self.version else ""
        text += f"/{self.variant}" if self.variant else ""
        return text + (f"#{self.instance}" if self.instance is not None else "")

    @staticmethod
    def parse(text: str) -> Address:
        """The address written as `text`; ValueError when it is none."""
        match = _ADDRESS.match(text)
        if (
            not match
            or (match["kind"] != "gateway") != bool(match["name"])
            or (match["kind"] == "job") != bool(match["version"])
        ):
            raise ValueError(f"{text!r} is not an address")
        instance = match["instance"]
        return Address(
            match["kind"],  # type: ignore[arg-type]  # the pattern admits these kinds alone
            match["name"] or "",
            int(match["version"] or 0),
            match["variant"] or "",
            int(instance) if instance is not None else None,
        )

    @property
    def whole(self) -> Address:
        """The job, endpoint, notebook or gateway this is a part of."""
        return Address(self.kind, self.name, self.version)

    @property
    def is_companion(self) -> bool:
        """Whether this is no host of its job, but runs beside one: job/churn@3/feeder#0."""
        return self.kind == "job" and bool(self.variant)


GATEWAY = Address("gateway")


def job_address(name: str, version: int) -> Address:
    return Address("job", name, version)


def endpoint_address(name: str) -> Address:
    return Address("endpoint", name)


def notebook_address(name: str) -> Address:
    return Address("notebook", name)


def registry_address(name: str) -> Address:
    """Of a Model document."""
    return Address("model", name)
