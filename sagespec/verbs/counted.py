"""What was counted of endpoints and their revisions: by the store, and by the gateway since it was written there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sagespec.errors import SagespecError
from sagespec.parts import Parts
from sagespec.records.tallies import Tallies
from sagespec.state.counts import Counts, Reading
from sagespec.state.tally import Tally
from sagespec.traffic.latencies import quantile
from sagespec.traffic.tallying import tally_now


@dataclass(frozen=True)
class CountedOf:
    """Of one revision, or of one of its variants."""

    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None

    @classmethod
    def of(cls, found: Sequence[Counts]) -> CountedOf:
        total = Counts()
        for counts in found:
            total = total.plus(counts)
        p50, p99 = (quantile(total.latencies, share) for share in (0.5, 0.99))
        return cls(total.requests, total.errors, p50, p99)

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "errors": self.errors,
            "error_rate": self.error_rate,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
        }


def readings(parts: Parts) -> Mapping[str, Reading]:
    """Of the gateway, if it answers: what is in the store is worth showing without it."""
    with suppress(SagespecError, OSError):
        return parts.gateway.readings()
    return {}


def counted_now(parts: Parts, endpoint_name: str) -> Tally:
    return tally_now(endpoint_name, parts.records, readings(parts))


def by_revision(parts: Parts, endpoint_name: str, now: Mapping[str, Reading]) -> Mapping[int, Mapping[str, Counts]]:
    """By the revision's number and `variant/hash`."""
    tallies = Tallies(parts.store, parts.records.project_name)
    return tallies.of_revisions(endpoint_name, tally_now(endpoint_name, parts.records, now))


def as_json(counts: Mapping[str, Counts]) -> dict[str, Any]:
    """Of a revision as a whole, and of each variant."""
    by_variant: dict[str, list[Counts]] = {}
    for target, found in counts.items():
        by_variant.setdefault(target.partition("/")[0], []).append(found)
    variants = {name: CountedOf.of(found).as_json() for name, found in by_variant.items()}
    return {**CountedOf.of(list(counts.values())).as_json(), "variants_counted": variants}
