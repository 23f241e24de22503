"""What was counted of requests, and how it is kept across restarts of the gateway.

Envoy counts from zero when it is started, and forgets a target whose last instance has gone. So whoever counts keeps
what was `Seen` at the last look, and of which gateway: what came since is the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from sagespec.state.manifest import Record

COUNTED_FORMAT = 1


class Counts(Record):
    """requests: answered by the model or given up, not those refused before a model was asked. errors: those of them
    that failed, 4xx and 5xx of the model, timeouts, connections lost, no instance, overload. errors_4xx: those of them
    that the model refused. latencies: how many took how long, by the lower bound of Envoy's bucket in milliseconds."""

    requests: int = 0
    errors: int = 0
    errors_4xx: int = 0
    latencies: dict[float, int] = Field(default_factory=dict)

    def plus(self, other: Counts) -> Counts:
        bounds = sorted({*self.latencies, *other.latencies})
        return Counts(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            errors_4xx=self.errors_4xx + other.errors_4xx,
            latencies={bound: self.latencies.get(bound, 0) + other.latencies.get(bound, 0) for bound in bounds},
        )

    def minus(self, other: Counts) -> Counts:
        latencies = {bound: count - other.latencies.get(bound, 0) for bound, count in self.latencies.items()}
        return Counts(
            requests=self.requests - other.requests,
            errors=self.errors - other.errors,
            errors_4xx=self.errors_4xx - other.errors_4xx,
            latencies={bound: count for bound, count in latencies.items() if count},
        )

    def has(self, other: Counts) -> bool:
        """Whether these are of a later look at the same counters, or of the same one."""
        return self.still_has(other) == other

    def since(self, before: Counts) -> Counts:
        """What came in between."""
        return self.minus(self.still_has(before))

    def still_has(self, before: Counts) -> Counts:
        """What of `before` is in these. Envoy forgets the requests of a target whose instances are all gone, but not
        its errors: so each kind of number that is smaller than before was counted from zero, apart from the others. At
        times it keeps the requests and forgets their latencies: then these are no more than the requests since."""
        has_latencies = self.requests >= before.requests and all(
            self.latencies.get(bound, 0) >= count for bound, count in before.latencies.items()
        )
        has_requests = has_latencies or sum(self.latencies.values()) <= self.requests - before.requests
        return Counts(
            requests=before.requests if has_requests else 0,
            errors=before.errors if self.errors >= before.errors else 0,
            errors_4xx=before.errors_4xx if self.errors_4xx >= before.errors_4xx else 0,
            latencies=before.latencies if has_latencies else {},
        )


class Reading(NamedTuple):
    """One answer of a gateway. gateway: which one, as it was started. counts: since then, by target: `variant/hash`.
    shares: of the requests that its weights give to each target; nothing for those that only TargetVariant reaches."""

    gateway: str
    counts: Mapping[str, Counts]
    shares: Mapping[str, float] = {}


class Seen(Record):
    """gateway, seen: what the last look saw. An earlier release did not say of which gateway: it counts as the same."""

    gateway: str = ""
    seen: dict[str, Counts] = Field(default_factory=dict)

    def came(self, reading: Reading) -> dict[str, Counts]:
        """What came since the last look, by target; nothing of those that nothing came to."""
        before = {} if self.is_of_another(reading) else self.seen
        found = {target: now.since(before.get(target, Counts())) for target, now in reading.counts.items()}
        return {target: counts for target, counts in found.items() if counts != Counts()}

    def is_of_another(self, reading: Reading) -> bool:
        """Whether the gateway was started again since the last look: nobody knows what came before that."""
        return bool(self.gateway) and reading.gateway != self.gateway


class Counted(Seen):
    """All that was counted of one endpoint, by target: `variant/hash`. It only grows.

    before: by gateways that are gone, and what the present one has forgotten.
    """

    format: int = COUNTED_FORMAT
    before: dict[str, Counts] = Field(default_factory=dict)

    def after(self, reading: Reading) -> Counted:
        """With one more look."""
        came, now = self.came(reading), reading.counts
        total = {target: self.of(target).plus(came.get(target, Counts())) for target in {*self.targets, *now}}
        before = {target: all_of_it.minus(now.get(target, Counts())) for target, all_of_it in total.items()}
        return Counted(
            gateway=reading.gateway,
            before={target: counts for target, counts in sorted(before.items()) if counts != Counts()},
            seen=dict(now),
        )

    def of(self, target: str) -> Counts:
        """Everything that was ever counted of a target."""
        return self.before.get(target, Counts()).plus(self.seen.get(target, Counts()))

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(sorted({*self.before, *self.seen}))
