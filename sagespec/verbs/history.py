"""What the store remembers: revisions of endpoints and manifests of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sagespec.display import Displayed
from sagespec.errors import WorldError, did_you_mean
from sagespec.frames import frame_of
from sagespec.parts import Parts
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.counts import Counts, Reading
from sagespec.state.manifest import Manifest
from sagespec.state.revision import Revision
from sagespec.verbs import counted
from sagespec.verbs.changes import rows_of
from sagespec.verbs.rolling import rolling_of


class Revisions(Displayed, tuple[Revision, ...]):
    """The revisions of an endpoint, oldest first. counted: of requests, by number and `variant/hash`; {} where that was
    not asked for. rolling: what is on its way to be the next one."""

    counted: Mapping[int, Mapping[str, Counts]] = {}
    rolling: Revision | None = None

    @classmethod
    def of(
        cls,
        revisions: Iterable[Revision],
        counted: Mapping[int, Mapping[str, Counts]],
        rolling: Revision | None = None,
    ) -> Revisions:
        found = cls(revisions)
        found.counted, found.rolling = counted, rolling
        return found

    def as_json(self) -> list[dict[str, Any]]:
        rows = rows_of(self, self.rolling)
        return [row.as_json() | counted.as_json(self.counted.get(row.revision.number, {})) for row in rows]

    def frame(self) -> Any:
        """A data frame of pandas with a row for each."""
        return frame_of(self.as_json())


@dataclass(frozen=True, repr=False)
class Recorded(Displayed):
    """The revisions of each endpoint, oldest first, and the manifests of jobs."""

    revisions: Mapping[Address, Revisions]
    manifests: tuple[Manifest, ...]

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        endpoints = [
            {"address": str(address), "revisions": revisions.as_json()} for address, revisions in self.revisions.items()
        ]
        return {"endpoints": endpoints, "jobs": [manifest_as_json(manifest) for manifest in self.manifests]}


def manifest_as_json(manifest: Manifest) -> dict[str, Any]:
    """A manifest less its environment, which may hold secrets; the store has it whole."""
    kept = manifest.model_dump(mode="json", exclude={"spec", "key_fields", "project", "name", "version", "format"})
    return {
        "address": f"job/{manifest.name}@{manifest.version}",
        "hyperparameters": manifest.spec.get("hyperparameters") or {},
        **kept,
    }


def history(parts: Parts, endpoint_name: str, now: Mapping[str, Reading] | None = None) -> Revisions:
    """now: what the gateway has counted, where it was asked already."""
    revisions = parts.records.history(endpoint_name)
    if not revisions:
        raise unknown_endpoint(parts, endpoint_name, "has no history")
    now = counted.readings(parts) if now is None else now
    by_revision = counted.by_revision(parts, endpoint_name, now)
    return Revisions.of(revisions, by_revision, rolling_of(parts, endpoint_name, revisions))


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
    now = counted.readings(parts) if endpoints else {}
    revisions = {endpoint_address(one): history(parts, one, now) for one in endpoints}
    return Recorded(revisions, tuple(manifests[job] for job in jobs if job in manifests))


def unknown_endpoint(parts: Parts, name: str, what: str) -> WorldError:
    others = [known for known in parts.records.endpoint_names() if known != name]
    return WorldError(
        f"endpoint/{name} {what} in {parts.store.uri}",
        fix=did_you_mean(name, others) or "see `sagespec status` for the endpoints there are",
    )
