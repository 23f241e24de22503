"""Where a model went, and where an endpoint's models came from: both ways, by what the store remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagespec.parts import Parts
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.manifest import Manifest
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus, live_revision


@dataclass(frozen=True)
class Served:
    """An endpoint that serves a job's model, or has served it: in these revisions."""

    endpoint: Address
    revisions: tuple[int, ...]
    is_live: bool

    def as_json(self) -> dict[str, Any]:
        return {"endpoint": str(self.endpoint), "revisions": list(self.revisions), "live": self.is_live}


def served_by(parts: Parts, job: Address) -> tuple[Served, ...]:
    """The endpoints that serve the job's model now, then those that did."""
    return served_in(histories(parts), job)


def histories(parts: Parts) -> Mapping[str, tuple[Revision, ...]]:
    """Of all endpoints that were ever served, by name."""
    return {name: parts.records.history(name) for name in parts.records.endpoint_names()}


def served_in(histories: Mapping[str, tuple[Revision, ...]], job: Address) -> tuple[Served, ...]:
    found = []
    for name, revisions in histories.items():
        with_it = [r for r in revisions if _has(r.asked, job) and r.status is not RevisionStatus.FAILED]
        live = live_revision(revisions)
        if any(revision.status is not RevisionStatus.REMOVED for revision in with_it):
            numbers = tuple(r.number for r in with_it if r.status is not RevisionStatus.REMOVED)
            found.append(Served(endpoint_address(name), numbers, live is not None and _has(live.asked, job)))
    return tuple(sorted(found, key=lambda served: (not served.is_live, str(served.endpoint))))


def _has(asked: EndpointRecord, job: Address) -> bool:
    return any(variant.model.job == str(job) for variant in asked.variants)


@dataclass(frozen=True)
class Origin:
    """Where the model of a variant comes from. manifest: of the job that trained it; None where there is none, as for
    an archive from elsewhere."""

    variant: str
    model: str
    job: Address | None
    manifest: Manifest | None


def origins(parts: Parts, asked: EndpointRecord) -> tuple[Origin, ...]:
    """Of the models of one revision, by variant."""
    jobs = {v.name: Address.parse(v.model.job) for v in asked.variants if v.model.job}
    manifests = parts.records.manifests(jobs.values())
    return tuple(
        Origin(
            v.name,
            v.model.text or v.model.uri,
            jobs.get(v.name),
            manifests.get(jobs[v.name]) if v.name in jobs else None,
        )
        for v in asked.variants
    )
