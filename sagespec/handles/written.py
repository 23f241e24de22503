"""Documents as files of specs: which version of a job a document is, and what its file holds then.

A job's file, specs/notebook/churn.yaml, holds what was asked for last, and of earlier versions those that have not
ended or that an endpoint serves. A file that a person wrote is never touched: a changed job becomes the next version in
a file of ours, and of an endpoint it is said where to change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sagespec.documents.emit import emit
from sagespec.documents.files import MARK, write
from sagespec.documents.places import file_for, with_version
from sagespec.errors import SagespecError, SpecError, disk_problems
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.ongoing import Stale
from sagespec.parts import Parts
from sagespec.spec.endpoint import Endpoint, named_job
from sagespec.state.addresses import Address, job_address
from sagespec.state.desired import DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.verbs.candidates import candidate_job, refuse_another_spelling
from sagespec.verbs.edited import DataNow
from sagespec.verbs.plan import desired
from sagespec.verbs.versions import next_version

HEADING = f"{MARK} for the Python verbs, which write it again. To make it yours, remove this line."


def notebook_folder(parts: Parts) -> Path:
    """Where the control plane's specs are, too: one name, one file, whoever asks."""
    return parts.root / parts.settings.api.specs


@dataclass(frozen=True)
class WrittenJob:
    """is_trained: so that nothing is left to do. notes: what to say to whoever asked."""

    address: Address
    is_trained: bool
    notes: tuple[str, ...] = ()


class JobSpecs:
    """All that specs and store know of the jobs of one name."""

    def __init__(self, parts: Parts, name: str) -> None:
        self.parts, self.name = parts, name
        self.loaded: Loaded = parts.load_what_is_right()[0]
        self.items: dict[int, LoadedSpec] = {
            item.address.version: item
            for item in self.loaded.specs
            if (item.address.kind, item.address.name) == ("job", name)
        }
        stored = [address for address in parts.records.all_jobs() if address.name == name]
        addresses = {*stored, *(job_address(name, version) for version in self.items)}
        self.manifests: Mapping[Address, Manifest] = parts.records.manifests(addresses)
        self.versions = sorted({address.version for address in addresses}, reverse=True)
        self.file = file_for(notebook_folder(parts), "TrainingJob", name)

    def is_elsewhere(self, version: int) -> bool:
        """Whether the spec of this version is in another file: a person's, or a cell's."""
        return version in self.items and (self.parts.root / self.items[version].origin.file) != self.file

    def manifest(self, version: int) -> Manifest | None:
        return self.manifests.get(job_address(self.name, version))

    def is_trained(self, version: int) -> bool:
        manifest = self.manifest(version)
        return manifest is not None and manifest.status is JobStatus.COMPLETED

    def key_of(self, version: int) -> str:
        """The key that a version has, or that its spec gives it; '' where that cannot be told."""
        if manifest := self.manifest(version):
            return manifest.key
        if record := self.parts.records.attempts(job_address(self.name, version)):
            return record.key
        try:
            wanted, _ = desired(self.parts, check_paths=False, only=[job_address(self.name, version)])
        except SagespecError:
            return ""
        job = wanted.job(job_address(self.name, version))
        return job.key if job else ""

    def served_versions(self) -> set[int]:
        """Those that an endpoint of the specs names."""
        variants = (v for item in self.loaded.specs if isinstance(item.spec, Endpoint) for v in item.spec.variants)
        named = (job for variant in variants if (job := named_job(variant.model)))
        return {version for name, version in named if name == self.name}

    def text_of(self, document: Mapping[str, Any], version: int) -> str:
        return emit(_ordered({**document, "version": version}), heading=[HEADING.removeprefix("# ")])


def write_job(parts: Parts, document: Mapping[str, Any], *, version: int | None = None) -> WrittenJob:
    """Write the document of a job under the version it is: one that says the same, or the next. version: a set one."""
    specs = JobSpecs(parts, str(document["name"]))
    refuse_another_spelling(specs.loaded, job_address(specs.name, 1))
    first = version or (specs.versions[0] if specs.versions else 1)
    job = candidate_job(parts, specs.text_of(document, first), specs.file)
    same = next((v for v in specs.versions if version in (None, v) and same_hash(specs.key_of(v), job.key)), None)
    notes: list[str] = []
    if same is not None and specs.is_trained(same):
        edited = _edited(specs, replace(job, version=same))
        if not edited:
            if not specs.items:
                _write(specs, document, same)
            return WrittenJob(job_address(specs.name, same), is_trained=True)
        notes.append(edited)
        same = None
    chosen = same or version or _next(specs)
    if specs.is_trained(chosen):
        raise SpecError(
            f"{specs.name}@{chosen} is trained, and this is another job",
            why="a trained version never changes",
            fix="leave version out: a changed job takes the next one",
        )
    candidate_job(parts, specs.text_of(document, chosen), specs.file)  # what is wrong with one not trained yet
    if not specs.is_elsewhere(chosen):
        notes += _said_of_others(specs, chosen)
        _write(specs, document, chosen)
    return WrittenJob(job_address(specs.name, chosen), is_trained=False, notes=tuple(notes))


def _edited(specs: JobSpecs, job: DesiredJob) -> str:
    manifest = specs.manifests.get(job.address)
    channels = DataNow(specs.parts.root).other_than(job, manifest) if manifest else ()
    return f"{job.address}: {Stale(job.address, tuple(channels)).text}" if channels else ""


def _next(specs: JobSpecs) -> int:
    """The version of a job that differs from all: that of the newest one if it ended without a model."""
    newest = specs.versions[0] if specs.versions else 0
    manifest = specs.manifest(newest)
    came_to_nothing = manifest is not None and manifest.status is not JobStatus.COMPLETED
    if came_to_nothing and not specs.is_elsewhere(newest):
        return newest
    return next_version(specs.parts, specs.name)


def _said_of_others(specs: JobSpecs, version: int) -> list[str]:
    files = {item.origin.file for number, item in specs.items.items() if specs.is_elsewhere(number)}
    if not files:
        return []
    here = specs.file.relative_to(specs.parts.root).as_posix()
    there = ", ".join(sorted(files))
    return [f"{specs.name} has versions in {there}, left as they are; {specs.name}@{version} is in {here}"]


def _write(specs: JobSpecs, document: Mapping[str, Any], version: int) -> None:
    served = specs.served_versions()
    with disk_problems(f"cannot write {specs.file.relative_to(specs.parts.root)}"):
        before = specs.file.read_text(encoding="utf-8") if specs.file.exists() else ""
        text = specs.text_of(document, version)
        text = with_version(before, text, lambda other: other in served or specs.manifest(other) is None)
        if text != before:
            write(specs.file, text)


def write_documents(parts: Parts, file: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    with disk_problems(f"cannot write {file.relative_to(parts.root)}"):
        write(file, f"{HEADING}\n" + "---\n".join(emit(document) for document in documents))


_FIRST = (
    "apiVersion", "kind", "name", "version", "algorithm", "framework", "image", "build", "entry_point", "source_dir",
    "distribution", "entrypoint", "arguments", "hyperparameters", "channels", "input_mode", "instances", "network",
    "resources", "environment", "metrics", "checkpoints", "stopping", "retries", "protect",
)  # fmt: skip


def _ordered(document: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: document[name] for name in _FIRST if name in document}
    return known | {name: value for name, value in document.items() if name not in known}
