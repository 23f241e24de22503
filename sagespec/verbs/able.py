"""Which jobs, endpoints and notebooks could not be started, so that a plan refuses what `apply` would fail at: the
engine is asked, and the folders of channels are looked into.

Called by `plan` for each snapshot. What runs already, or is done, is not asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from sagespec.errors import Origin, Problem, WorldError
from sagespec.runtimes.protocol import Runtime, Use
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision
from sagespec.verbs.columns import wrong_columns


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
    uses = [*_jobs(wanted, observed), *_endpoints(wanted, observed), *_notebooks(wanted, observed)]
    for address, where, use in uses:
        if address not in found and (why := problem(use)):
            found[address] = replace(why, about=str(address), where=where)
    return found


def to_be_begun(wanted: Desired, observed: Observed) -> Iterator[DesiredJob]:
    for job in wanted.jobs:
        manifest = observed.manifests.get(job.address)
        done = manifest is not None and manifest.status is JobStatus.COMPLETED
        is_begun = observed.containers_of(job.address) or job.address in observed.followers
        if not (done or is_begun or job.imported_from):
            yield job


def _jobs(wanted: Desired, observed: Observed) -> Iterator[tuple[Address, Origin | None, Use]]:
    for job in to_be_begun(wanted, observed):
        yield job.address, job.origin, Use(job.program, "train", job.entrypoint, job.isolated)


def without_data(wanted: Desired, observed: Observed, root: Path) -> dict[Address, Problem]:
    """The jobs to be begun that have an empty channel, or no such columns as they name."""
    problems = (wrong_data(job, root) for job in to_be_begun(wanted, observed))
    return {Address.parse(problem.about): problem for problem in problems if problem}


def wrong_data(job: DesiredJob, root: Path) -> Problem | None:
    return empty_channel(job, root) or wrong_columns(job, root)


def empty_channel(job: DesiredJob, root: Path) -> Problem | None:
    """What to say of the job's first channel whose folder on this machine holds nothing at all; None for none."""
    for channel in job.channels:
        folder = None if "://" in channel.source else root / channel.source
        if folder and folder.is_dir() and not _has_files(folder):
            return Problem(
                f"channel {channel.name}: there is nothing at {channel.source}",
                about=str(job.address),
                why="SageMaker also refuses an empty channel",
                fix=f"check the path, or put the data there: {folder}",
                where=job.field_origins.get(f"channels.{channel.name}.source", job.origin),
            )
    return None


def _has_files(folder: Path) -> bool:
    return any(
        files or any(Path(above, name).is_symlink() for name in names) for above, names, files in os.walk(folder)
    )


def _endpoints(wanted: Desired, observed: Observed) -> Iterator[tuple[Address, Origin | None, Use]]:
    for endpoint in wanted.endpoints:
        live = live_revision(observed.revisions.get(endpoint.name, ()))
        if live is None or not same_hash(endpoint.hash, live.hash):
            for variant in endpoint.variants:
                yield endpoint.address, endpoint.origin, Use(variant.program, "serve")


def _notebooks(wanted: Desired, observed: Observed) -> Iterator[tuple[Address, Origin | None, Use]]:
    for notebook in wanted.notebooks:
        has = observed.containers_of(notebook.address)
        if notebook.is_to_run and not any(same_hash(notebook.hash, container.hash) for container in has):
            yield notebook.address, notebook.origin, Use(notebook.program, "serve")
