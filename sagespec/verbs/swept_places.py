"""Places in the store that specs name and that `gc` has emptied since: a model's archive, the data or checkpoints of a
job. Each is refused with what has become of it, in place of data that do not exist, or are no longer all there."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from sagespec.display import minute_text
from sagespec.errors import Problem
from sagespec.load.loaded import LoadedSpec
from sagespec.parts import Parts
from sagespec.records.records import Records
from sagespec.records.sweeping import MODEL, is_swept
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Manifest
from sagespec.verbs.refused_models import named, why_refused

_IN_STORE = re.compile(r"/([^/]+)/jobs/([a-zA-Z0-9-]+)/([1-9]\d{0,15})(?:/(.*))?")


def swept_places(parts: Parts, specs: Collection[LoadedSpec]) -> Iterator[Problem]:
    """Asks the store only where a spec names a place in it."""
    for item in specs:
        for field, place in _places(item):
            if match := _IN_STORE.fullmatch(_below(parts, item, field, place)):
                project, name, version, file = match.groups()
                job = job_address(name, int(version))
                manifest = Records(parts.store, project).manifests([job]).get(job)
                if manifest and manifest.swept_at and is_emptied(file or ""):
                    yield _problem(item, field, job, manifest, file or "", environment=parts.environment)


def _places(item: LoadedSpec) -> Iterator[tuple[str, str]]:
    """Each with its field."""
    match item.spec:
        case TrainingJob() as job:
            yield from ((f"channels.{name}.source", channel.source) for name, channel in job.channels.items())
            if job.checkpoints and job.checkpoints.source:
                yield "checkpoints.source", job.checkpoints.source
        case Endpoint() as endpoint:
            yield from ((f"variants.{index}.model", one.model) for index, one in enumerate(endpoint.variants))


def _below(parts: Parts, item: LoadedSpec, field: str, place: str) -> str:
    """The rest of a place in this store; '' of one elsewhere."""
    if "/jobs/" not in place:
        return ""
    local, uri = item.local_path(place, field), parts.store.uri
    text = f"file://{os.path.realpath(local)}" if local else place.rstrip("/")
    top = f"file://{Path(uri.removeprefix('file://')).resolve()}" if uri.startswith("file://") else uri
    return text.removeprefix(top) if text.startswith(f"{top}/") else ""


def is_emptied(file: str) -> bool:
    """Whether sweeping takes something of it away. file: within the job's folder, '' for all of that.

    >>> [is_emptied(file) for file in ("", "model.tar.gz", "output.tar.gz", "checkpoints", "logs/algo-1.log")]
    [True, True, True, True, False]
    """
    return not file or is_swept(file) or is_swept(f"{file}/")


def _problem(item: LoadedSpec, field: str, job: Address, manifest: Manifest, file: str, *, environment: str) -> Problem:
    assert manifest.swept_at is not None
    where = item.origin_of(field)
    of_model = why_refused(job, {}, {job: manifest}, str(item.address), where, environment=environment)
    if file == MODEL and of_model:
        return of_model
    return Problem(
        f"{field}: {file or 'what the job made'} of {named(job)} was swept by gc at {minute_text(manifest.swept_at)}",
        about=str(item.address),
        why="nothing had named it for longer than gc waits; its manifest, logs and metrics are still there",
        fix=f"name other data, or train {job.name} as another version",
        where=where,
    )
