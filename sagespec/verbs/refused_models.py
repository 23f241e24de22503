"""Endpoints whose specs name a model that is not to be had: rejected by its Model document, or swept by `gc`.

A plan refuses what would begin to serve one, and `rollback` a revision that has one. What serves a rejected model
already is noted, and stays. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sagespec.display import minute_text
from sagespec.errors import Origin, Problem
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Observed
from sagespec.state.revision import EndpointRecord, live_revision
from sagespec.state.sweeping import restoring

Rejected = Mapping[Address, str]
Manifests = Mapping[Address, Manifest]


def refused_models(wanted: Desired, observed: Observed) -> dict[Address, Problem]:
    """Why endpoints cannot become what their specs say; of what is live, nothing is asked."""
    found: dict[Address, Problem] = {}
    for endpoint in wanted.endpoints:
        live = live_revision(observed.revisions.get(endpoint.name, ()))
        serving = jobs_of(live.asked) if live else frozenset[Address]()
        for job in sorted(jobs_of(endpoint.record) - serving):
            problem = why_refused(
                job,
                wanted.rejected,
                observed.manifests,
                str(endpoint.address),
                endpoint.origin,
                environment=wanted.environment,
            )
            if problem:
                found.setdefault(endpoint.address, problem)
    return found


def notes_on_rejected(wanted: Desired, observed: Observed) -> Iterator[str]:
    for name, revisions in observed.revisions.items():
        live = live_revision(revisions)
        for job in sorted(jobs_of(live.asked) & wanted.rejected.keys()) if live else ():
            yield f"endpoint/{name} serves {named(job)}, which is rejected: {wanted.rejected[job]}"


def jobs_of(record: EndpointRecord) -> frozenset[Address]:
    """The jobs whose models it serves."""
    return frozenset(Address.parse(variant.model.job) for variant in record.variants if variant.model.job)


def why_refused(
    job: Address,
    rejected: Rejected,
    manifests: Manifests,
    about: str,
    where: Origin | None = None,
    *,
    environment: str,
) -> Problem | None:
    """Why the model of a job is not to be served from now on; None where it may be. environment: '' for none."""
    if job in rejected:
        return Problem(
            f"{named(job)} is rejected: {rejected[job]}",
            about=about,
            why="what no endpoint serves yet is not begun to be served; what serves stays",
            fix=f"name another version, or take it off rejected in the Model {job.name}",
            where=where,
        )
    manifest = manifests.get(job)
    if manifest and manifest.swept_at:
        return Problem(
            f"the model of {named(job)} was swept by gc at {minute_text(manifest.swept_at)}",
            about=about,
            why="nothing had named it for longer than gc waits; its manifest, logs and metrics are still there",
            fix=restoring(job, environment),
            where=where,
        )
    return None


def named(job: Address) -> str:
    return f"{job.name}@{job.version}"
