"""Works out what `apply` would do, and checks the specs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Validated:
    """What `validate` found well."""

    jobs: int
    endpoints: int
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
