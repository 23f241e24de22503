"""The archives that are to be imported: how large they are, and which; and those that cannot be had.

Called by `plan` for each snapshot, for jobs that have no model yet; what is imported may be gone.
"""

from __future__ import annotations

from dataclasses import replace

from sagespec.errors import Problem, WorldError
from sagespec.parts import Parts
from sagespec.run.archives import archive_at
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.observed import Archive, Observed


def archives_of(
    parts: Parts, wanted: Desired, observed: Observed
) -> tuple[dict[Address, Archive], dict[Address, Problem]]:
    """By job; and what is wrong with those that cannot be had."""
    found: dict[Address, Archive] = {}
    missing: dict[Address, Problem] = {}
    for job in wanted.jobs:
        if job.imported_from and job.address not in observed.manifests:
            try:
                found[job.address] = _archive(parts, job)
            except WorldError as error:
                place = job.field_origins.get("imported_from.source", job.origin)
                missing[job.address] = replace(error.problems[0], about=str(job.address), where=place)
    return found, missing


def _archive(parts: Parts, job: DesiredJob) -> Archive:
    if "://" not in job.imported_from:
        return archive_at(job.imported_from, parts.root, parts.checksums)
    with parts.waits.on(job.imported_from):
        return archive_at(job.imported_from, parts.root)
