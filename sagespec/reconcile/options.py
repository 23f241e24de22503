"""What a person may ask of one run, beyond what the specs say: flags of `plan`, `apply` and `destroy`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """retry: try failed jobs and revisions again. prune: remove what no spec names any more.
    allow_empty: even when that is everything. destroy: the gateway too."""

    retry: bool = False
    prune: bool = False
    allow_empty: bool = False
    destroy: bool = False
