"""Options for one run, in addition to the specs: flags of `plan`, `apply` and `destroy`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """retry: try failed jobs and revisions again. prune: remove what no spec names now.
    allow_empty: even when that is everything. destroy: the gateway too."""

    retry: bool = False
    prune: bool = False
    allow_empty: bool = False
    destroy: bool = False
