"""What only shows across documents: names used twice, and references and paths that lead nowhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from sagespec.errors import Problem, did_you_mean
from sagespec.load.files import holds
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.spec.endpoint import Endpoint, named_job
from sagespec.spec.job import ImportedFrom, TrainingJob
from sagespec.spec.model import named_alias
from sagespec.spec.notebook import Notebook
from sagespec.spec.values import quoted
from sagespec.state.addresses import Address, job_address


def unresolved_models(loaded: Loaded) -> tuple[tuple[Problem, Address], ...]:
    """The variants whose model no TrainingJob in the specs makes, with the job that each names.

    The caller drops those whose model the store already holds.
    """
    versions: dict[str, set[int]] = defaultdict(set)
    for item in loaded.specs:
        if item.address.kind == "job":
            versions[item.address.name].add(item.address.version)
    return tuple(
        (_unresolved(item, f"variants.{index}.model", variant.model, versions), job_address(*job))
        for item in loaded.specs
        if isinstance(item.spec, Endpoint)
        for index, variant in enumerate(item.spec.variants)
        if (job := named_job(variant.model)) and job[1] not in versions.get(job[0], ())
    )


def _unresolved(item: LoadedSpec, path: str, model: str, versions: Mapping[str, set[int]]) -> Problem:
    name, _, version = model.partition("@")
    alias = f" ({item.aliases[path]})" if path in item.aliases else ""
    known = ", ".join(f"{name}@{number}" for number in sorted(versions.get(name, ())))
    near = "" if known else did_you_mean(name, versions)
    return Problem(
        f"{path} is {model}{alias}, but no spec defines that job, and no trained model of that name is known",
        about=str(item.address),
        why=f"the specs define {known}" if known else "",
        fix=near or f"add a TrainingJob with name: {name} and version: {version}, or name another model",
        where=item.origin_of(path),
    )


def clashes(specs: Sequence[LoadedSpec]) -> Iterator[Problem]:
    """Addresses given twice, and names that differ only in upper and lower case."""
    addresses: dict[Address, LoadedSpec] = {}
    spellings: dict[tuple[str, str], LoadedSpec] = {}
    for item in specs:
        address = item.address
        if (earlier := addresses.setdefault(address, item)) is not item:
            yield Problem(
                "is defined twice",
                about=str(address),
                why=f"it is already defined at {earlier.origin}",
                fix=f"remove one, or {'give it another version' if address.kind == 'job' else 'rename it'}",
                where=item.origin_of("name"),
            )
        earlier = spellings.setdefault((address.kind, address.name.lower()), item)
        if earlier.address.name != address.name:
            yield Problem(
                f"its name differs from {earlier.address.name} at {earlier.origin} only in upper and lower case",
                about=str(address),
                why="host names, and the file names of some systems, ignore case",
                fix="spell both the same way, or rename one",
                where=item.origin_of("name"),
            )


def missing_paths(item: LoadedSpec) -> Iterator[Problem]:
    """Local data and model archives that a spec names and that are not there."""
    match item.spec:
        case TrainingJob(imported_from=ImportedFrom() as imported) as job:
            path = item.local_path(imported.source, "imported_from.source")
            if path and not holds(path.is_file):
                yield _missing_path(item, "imported_from.source", imported.source, path)
            yield from _missing_programs(item, job)
        case TrainingJob() as job:
            for name, channel in job.channels.items():
                path = item.local_path(channel.source, f"channels.{name}.source")
                if path and not holds(path.exists):
                    yield _missing_path(item, f"channels.{name}.source", channel.source, path)
            yield from _missing_programs(item, job)
        case Notebook() as notebook:
            yield from _missing_of_notebook(item, notebook)
        case Endpoint() as endpoint:
            for index, variant in enumerate(endpoint.variants):
                of_job = named_job(variant.model) or named_alias(variant.model)
                path = None if of_job else item.local_path(variant.model, f"variants.{index}.model")
                if path and not holds(path.is_file):
                    yield _missing_path(item, f"variants.{index}.model", variant.model, path)


def _missing_of_notebook(item: LoadedSpec, notebook: Notebook) -> Iterator[Problem]:
    for field, source, is_there in (
        ("folder", notebook.folder, Path.is_dir),
        ("on_start", notebook.on_start, Path.is_file),
    ):
        path = item.local_path(source, field) if source else None
        if path and source and not holds(partial(is_there, path)):
            yield _missing_path(item, field, source, path)


def _missing_programs(item: LoadedSpec, job: TrainingJob) -> Iterator[Problem]:
    field = "source_dir" if job.source_dir else "entry_point"
    if script := job.source_dir or job.entry_point:
        path = item.local_path(script, field)
        if path and not holds(path.exists):
            yield _missing_path(item, field, script, path)
    if job.build:
        path = item.local_path(job.build.context, "build.context")
        if path and not holds(path.is_dir):
            yield _missing_path(item, "build.context", job.build.context, path)
        elif path and not holds((path / job.build.dockerfile).is_file) and not holds((path / "train").is_file):
            yield Problem(
                f"build: there is no {job.build.dockerfile} in {job.build.context}",
                about=str(item.address),
                why="a container is built from the Dockerfile of its folder; without Docker, its `train` is run",
                fix="write one, or name it with dockerfile:",
                where=item.origin_of("build.dockerfile"),
            )


def _missing_path(item: LoadedSpec, field: str, source: str, path: Path) -> Problem:
    return Problem(
        f"{field}: {quoted(source)} {'is a folder, not a model.tar.gz' if holds(path.is_dir) else 'does not exist'}",
        about=str(item.address),
        why=f"paths are relative to the spec's file, so this is {path}",
        fix="correct the path, or put the data there",
        where=item.origin_of(field),
    )
