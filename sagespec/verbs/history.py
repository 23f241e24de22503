"""What the store remembers: revisions of endpoints and manifests of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagespec.errors import WorldError, did_you_mean
from sagespec.parts import Parts
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.manifest import Manifest
from sagespec.state.revision import Revision
from sagespec.verbs.changes import rows_of


@dataclass(frozen=True)
class Recorded:
    """The revisions of each endpoint, oldest first, and the manifests of jobs."""

    revisions: Mapping[Address, tuple[Revision, ...]]
    manifests: tuple[Manifest, ...]

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        endpoints = [
            {"address": str(address), "revisions": [row.as_json() for row in rows_of(revisions)]}
            for address, revisions in self.revisions.items()
        ]
        return {"endpoints": endpoints, "jobs": [_manifest_as_json(manifest) for manifest in self.manifests]}


def _manifest_as_json(manifest: Manifest) -> dict[str, Any]:
    """A manifest less its environment, which may hold secrets; the store has it whole."""
    kept = manifest.model_dump(mode="json", exclude={"spec", "key_fields", "project", "name", "version", "format"})
    return {
        "address": f"job/{manifest.name}@{manifest.version}",
        "hyperparameters": manifest.spec.get("hyperparameters") or {},
        **kept,
    }


def history(parts: Parts, endpoint_name: str) -> tuple[Revision, ...]:
    revisions = parts.records.history(endpoint_name)
    if not revisions:
        raise unknown_endpoint(parts, endpoint_name, "has no history")
    return revisions


def manifest(parts: Parts, address: Address) -> Manifest:
    found = parts.records.manifests([address]).get(address)
    if found is None:
        known = [str(job) for job in parts.records.all_jobs()]
        raise WorldError(f"{address} has no manifest in {parts.store.uri}", fix=did_you_mean(str(address), known))
    return found


def recorded(parts: Parts, name: str | None) -> Recorded:
    """All there is, or the endpoint and the jobs that `name` (churn, churn@3, job/churn) may mean."""
    jobs, endpoints = parts.records.all_jobs(), parts.records.endpoint_names()
    if name is not None:
        kind, _, bare = name.rpartition("/")
        known = [*endpoints, *(f"{job.name}@{job.version}" for job in jobs)]
        jobs = tuple(a for a in jobs if kind in ("", "job") and bare in (a.name, f"{a.name}@{a.version}"))
        endpoints = tuple(one for one in endpoints if kind in ("", "endpoint") and one == bare)
        if not jobs and not endpoints:
            raise WorldError(
                f"{name} has no history in {parts.store.uri}",
                fix=did_you_mean(bare, known) or "`sagespec history` without a name lists everything",
            )
    manifests = parts.records.manifests(jobs)
    revisions = {endpoint_address(one): history(parts, one) for one in endpoints}
    return Recorded(revisions, tuple(manifests[job] for job in jobs if job in manifests))


def unknown_endpoint(parts: Parts, name: str, what: str) -> WorldError:
    known = parts.records.endpoint_names()
    return WorldError(
        f"endpoint/{name} {what} in {parts.store.uri}",
        fix=did_you_mean(name, known) or "see `sagespec status` for the endpoints there are",
    )
