"""Options for one run, in addition to the specs: flags of `plan`, `apply` and `destroy`."""

from __future__ import annotations

from dataclasses import dataclass

from sagespec.state.addresses import Address


@dataclass(frozen=True)
class Approved:
    """A plan that somebody has approved. lines: what it said; () where only its digest is known."""

    digest: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """retry: try failed jobs and revisions again, but for those that were tried (retried). prune: remove what no spec
    names now. allow_empty: even when that is everything. destroy: the gateway too. leaves_new: instances that are not
    wanted stay where they have no traffic yet: another run may be about to give them some. spared: what stays although
    no spec names it. only: the addresses that the run is about, if not about all. expects: a plan that was approved;
    where the first one is another, nothing is done. no_wait: a rollout that has begun is left
    to other runs. even_suspended: what is suspended counts as if it were not."""

    retry: bool = False
    prune: bool = False
    allow_empty: bool = False
    destroy: bool = False
    leaves_new: bool = False
    expects: Approved | None = None
    no_wait: bool = False
    even_suspended: bool = False
    spared: frozenset[str] = frozenset()
    retried: frozenset[Address] = frozenset()
    only: frozenset[str] | None = None

    def retries(self, address: Address) -> bool:
        """Whether this job or endpoint is to be tried again although it failed."""
        return self.retry and address not in self.retried

    def leaves(self, address: object) -> bool:
        """Whether it is none of the run's business that no spec names this."""
        return str(address) in self.spared or (self.only is not None and str(address) not in self.only)
