"""The next version of a job: above all that its specs, the store and the engine know."""

from __future__ import annotations

from sagespec.parts import Parts
from sagespec.verbs.addresses import known_addresses


def next_version(parts: Parts, name: str) -> int:
    """1 for a job that nothing knows. Specs that are wrong are not looked at.

    Names that differ in case alone are one name: their containers and files would clash.
    """
    found = (address for address in known_addresses(parts) if address.kind == "job")
    return max((job.version for job in found if job.name.lower() == name.lower()), default=0) + 1
