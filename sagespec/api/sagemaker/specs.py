"""Writes what was asked for as a spec, and takes it away again."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sagespec.api.sagemaker.arns import records_of
from sagespec.api.sagemaker.code import remove_unchanged
from sagespec.api.sagemaker.records import KeptEndpoint, KeptJob, clock
from sagespec.api.service import Service
from sagespec.documents.emit import emit
from sagespec.documents.files import CODE_FOLDER, remove, write
from sagespec.documents.places import file_for, find, other_spelling, versions_in, with_version, without_version
from sagespec.errors import Problem, SagespecError
from sagespec.load.reading import Reading
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import JobStatus
from sagespec.verbs.candidates import problems_with

LAST_SEEN_SECONDS = 3600.0  # how old a look may be where only something that rarely changes is asked for
_Written = TypeVar("_Written", KeptJob, KeptEndpoint)


def heading_of(operation: str, name: str, *more: str) -> tuple[str, ...]:
    """The comments above a document; what comes first is the mark of our files."""
    return (f"Written by sagespec api for {operation} {name}. Yours to edit.", *filter(None, more))


def said_of(problems: Sequence[Problem]) -> str:
    """On one line, as the reason of a failure."""
    return "; ".join("; ".join(filter(None, (problem.what, problem.why, problem.fix))) for problem in problems)


def problems_of(service: Service, document: Mapping[str, Any], heading: Sequence[str]) -> tuple[Problem, ...]:
    """What is wrong with a document, before it is written."""
    file = file_for(service.specs, document["kind"], document["name"])
    return problems_with(service.project.parts, emit(document, heading=heading), file)


def write_job(service: Service, name: str, kept: KeptJob) -> KeptJob:
    """The job's spec into its file; and that it is written into the record."""
    file = file_for(service.specs, "TrainingJob", kept.document["name"])
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    text = with_version(before, emit(kept.document, heading=kept.heading), _is_needed(service, kept.document["name"]))
    earlier = set(versions_in(file))
    write(file, text)
    remove_code(service, kept.document["name"], earlier - set(versions_in(file)))
    return _now_written(service, KeptJob, name, kept)


def remove_version(service: Service, job: Address) -> None:
    """A job's spec out of its file, where that is ours and no endpoint waits for the job."""
    file = find(service.specs, "TrainingJob", job.name)
    if file is None or job.version not in versions_in(file) or _is_waited_for(service, job):
        return
    text = without_version(file.read_text(encoding="utf-8"), job.version)
    write(file, text) if text else remove(file)
    remove_code(service, job.name, [job.version])


def _is_waited_for(service: Service, job: Address) -> bool:
    """Whether an endpoint's spec names it although it has no model."""
    status = service.snapshots.status(LAST_SEEN_SECONDS)
    asked = {variant.model_asked for endpoint in status.endpoints for variant in endpoint.variants}
    manifest = service.project.parts.records.manifests([job]).get(job)
    is_trained = manifest is not None and manifest.status is JobStatus.COMPLETED
    return not is_trained and str(job).removeprefix("job/") in asked


def code_folder(service: Service, job_name: str, version: int) -> Path:
    """For the script of a job that a client sends."""
    return service.project.root / CODE_FOLDER / f"{job_name}-{version}"


def remove_code(service: Service, job_name: str, versions: Collection[int]) -> None:
    """The scripts of versions that no spec of ours describes any more, as far as they are as we wrote them."""
    folders = {str(job_address(job_name, version)): code_folder(service, job_name, version) for version in versions}
    if any(folder.is_dir() for folder in folders.values()):
        for kept in records_of(service).all(KeptJob).values():
            if kept.address in folders:
                remove_unchanged(folders[kept.address], kept.code)


def write_endpoint(service: Service, name: str, kept: KeptEndpoint) -> KeptEndpoint:
    write(file_for(service.specs, "Endpoint", name), emit(kept.document, heading=kept.heading))
    return _now_written(service, KeptEndpoint, name, kept)


def endpoint_file(service: Service, name: str) -> Path | None:
    """Of an endpoint that was written here, and that nobody has made their own."""
    return find(service.specs, "Endpoint", name)


def document_of(service: Service, name: str) -> dict[str, Any]:
    """The endpoint's spec as it is written now, by hand perhaps; {} where it is not ours."""
    file = endpoint_file(service, name)
    if file is None:
        return {}
    documents = list(Reading(file.read_text(encoding="utf-8"), file.name).documents())
    return dict(documents[0].data) if documents else {}


def remove_endpoint_file(service: Service, name: str) -> None:
    if file := endpoint_file(service, name):
        remove(file)


def spelling_of(service: Service, kind: str, name: str) -> str:
    """The name as the project's specs have it: one that differs in case alone would make all of them invalid."""
    if found := other_spelling(service.specs, kind, name):
        return found
    with suppress(SagespecError):
        status = service.snapshots.status(LAST_SEEN_SECONDS)
        addresses = {
            "TrainingJob": [job.address for job in status.jobs],
            "Endpoint": [endpoint.address for endpoint in status.endpoints],
            "Notebook": [notebook.address for notebook in status.notebooks],
        }[kind]
        names = {address.name for address in addresses}
        return name if name in names else next((one for one in sorted(names) if one.lower() == name.lower()), name)
    return name


def source_dir(service: Service, folder: Path) -> str:
    """How a spec that is written here names a folder of the project."""
    return Path(os.path.relpath(folder, service.specs)).as_posix()


def _is_needed(service: Service, job_name: str) -> Callable[[int], bool]:
    """Whether somebody still needs the spec of an earlier version: it has not ended, or an endpoint waits for it."""
    try:
        status = service.snapshots.status(LAST_SEEN_SECONDS)
        named = {variant.model_asked for endpoint in status.endpoints for variant in endpoint.variants}
    except SagespecError:  # some spec is wrong, so nobody knows
        named = None

    def is_needed(version: int) -> bool:
        address = job_address(job_name, version)
        manifest = service.project.parts.records.manifests([address]).get(address)
        if manifest is None:
            return True
        is_named = named is None or f"{job_name}@{version}" in named
        return manifest.status is not JobStatus.COMPLETED and is_named

    return is_needed


def _now_written(service: Service, kind: type[_Written], name: str, kept: _Written) -> _Written:
    now = replace(kept, is_written=True, modified_at=clock())
    return records_of(service).change(kind, name, lambda _: now) or now
