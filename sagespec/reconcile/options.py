"""Options for one run, in addition to the specs: flags of `plan`, `apply` and `destroy`."""

from __future__ import annotations

from dataclasses import dataclass

from sagespec.state.addresses import Address


@dataclass(frozen=True)
class Options:
    """retry: try failed jobs and revisions again, but for those that were tried (retried). prune: remove what no spec
    names now. allow_empty: even when that is everything. destroy: the gateway too. leaves_new:
    instances that are not wanted stay where they have no traffic yet: another run may be about to give them some."""

    retry: bool = False
    prune: bool = False
    allow_empty: bool = False
    destroy: bool = False
    leaves_new: bool = False
    spared: frozenset[str] = frozenset()
    retried: frozenset[Address] = frozenset()

    def retries(self, address: Address) -> bool:
        """Whether this job or endpoint is to be tried again although it failed."""
        return self.retry and address not in self.retried
