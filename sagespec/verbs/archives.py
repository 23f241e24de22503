"""The archives that are to be imported: how large they are, and which; and those that cannot be had.

Called by `plan` for each snapshot, for jobs that have no model yet; what is imported may be gone.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sagespec.errors import Problem, WorldError, disk_problems
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.observed import Archive, Observed
from sagespec.stores.open import open_store

_SHOWN = 12  # digits of a checksum


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
        file = parts.root / job.imported_from
        with disk_problems(f"cannot read {job.imported_from}"), file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            return Archive(file.stat().st_size, f"sha256 {sha256[:_SHOWN]}")
    with parts.waits.on(job.imported_from):
        entries = open_store(job.imported_from, root=parts.root, create=False).entries()
    name = job.imported_from.rpartition("/")[2]
    entry = next((entry for entry in entries if entry.key == name), None)
    if entry is None:
        raise WorldError(f"there is no object {job.imported_from}", fix="correct imported_from, or put the model there")
    return Archive(entry.size, f"etag {entry.etag[:_SHOWN]}")
