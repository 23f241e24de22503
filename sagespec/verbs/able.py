"""Asks the engine which jobs and endpoints it could not start, so that a plan refuses what `apply` would fail at.

Called by `plan` for each snapshot. What runs already, or is done, is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from sagespec.errors import Origin, Problem, WorldError
from sagespec.runtimes.protocol import Runtime, Use
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision


def unable(runtime: Runtime, wanted: Desired, observed: Observed, able: set[Use]) -> dict[Address, Problem]:
    """able: what the engine was found able to start before, and is not asked for again; what it finds now is added."""

    @cache
    def problem(use: Use) -> Problem | None:
        if use in able:
            return None
        try:
            runtime.check(use)
        except WorldError as error:
            return error.problems[0]
        able.add(use)
        return None

    found: dict[Address, Problem] = {}
    for address, where, use in [*_jobs(wanted, observed), *_endpoints(wanted, observed)]:
        if address not in found and (why := problem(use)):
            found[address] = replace(why, about=str(address), where=where)
    return found


def _jobs(wanted: Desired, observed: Observed) -> Iterator[tuple[Address, Origin | None, Use]]:
    for job in wanted.jobs:
        manifest = observed.manifests.get(job.address)
        done = manifest is not None and manifest.status is JobStatus.COMPLETED
        if not done and not observed.containers_of(job.address) and job.address not in observed.followers:
            yield job.address, job.origin, Use(job.program, "train", job.entrypoint, job.isolated)


def _endpoints(wanted: Desired, observed: Observed) -> Iterator[tuple[Address, Origin | None, Use]]:
    for endpoint in wanted.endpoints:
        live = live_revision(observed.revisions.get(endpoint.name, ()))
        if live is None or not same_hash(endpoint.hash, live.hash):
            for variant in endpoint.variants:
                yield endpoint.address, endpoint.origin, Use(variant.program, "serve")
