"""YAML files to specs, or to every problem in all of them at once, each with its place.

`project` calls `load` on every pass; `resolve` and `reconcile` read what it returns. Three steps, a file
each: `files` finds and reads, `reading` turns YAML into plain data that knows its places, and the models
of `spec` check it, with `words` saying what they object to. Nothing outside the files is looked at,
except whether a local path that a spec names exists.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sagespec.errors import Origin, Problem, SpecError, did_you_mean
from sagespec.load.files import find_files, holds, read_text, shown_name
from sagespec.load.reading import Document, LazyOrigins, Reading
from sagespec.load.words import Objections, wrong_kind
from sagespec.spec import API_VERSION, KINDS, Endpoint, Project, Spec, TrainingJob, named_job
from sagespec.spec.values import quoted
from sagespec.state import Address, endpoint_address, job_address

PROJECT_FILE = "sagespec.yaml"


@dataclass(frozen=True)
class LoadedSpec:
    """One document. `origin` is its first line; `origins` maps field paths ("variants.0.model") to places.

    folder: where its file is; relative paths in the spec start there.
    """

    spec: Spec
    origin: Origin
    origins: Mapping[str, Origin]
    folder: Path

    @property
    def address(self) -> Address:
        match self.spec:
            case TrainingJob() as job:
                return job_address(job.name, job.version)
            case Endpoint() as endpoint:
                return endpoint_address(endpoint.name)

    def origin_of(self, path: str) -> Origin:
        """The place of a field, or of the nearest one around it that is written."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, self.origin)

    def local_path(self, source: str) -> Path | None:
        """Where a path or file:// address in this spec points; None for what is not local (s3://…)."""
        if source.startswith("s3://"):
            return None
        return Path(os.path.normpath(self.folder / source.removeprefix("file://")))


@dataclass(frozen=True)
class Loaded:
    """What all files say: the project's settings, and the specs sorted by file and place.

    File names, in `files` as in origins, are relative to `root`, or absolute outside it.
    """

    root: Path
    project: Project
    project_origins: Mapping[str, Origin]
    specs: tuple[LoadedSpec, ...] = ()
    files: tuple[str, ...] = ()


def find_root(start: Path) -> Path:
    """The nearest of `start` and the folders above it that holds sagespec.yaml."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise SpecError(
        f"no {PROJECT_FILE} in {start} or in any folder above it",
        why="it marks the root of a project and holds its settings",
        fix="run `sagespec init` in the folder that should be the root",
    )


def load(paths: Sequence[Path], root: Path, *, check_paths: bool = True) -> Loaded:
    """Everything in the files and folders `paths` (relative ones start at `root`), with the settings of `root`.

    Raises SpecError with all problems of all files, sorted by place. check_paths: whether local data
    that a spec names must be there already.
    """
    root = root.absolute()
    project_file = root / PROJECT_FILE
    project, project_origins, problems = _load_project(project_file, root)
    found, unreadable = find_files(paths, root)
    problems += unreadable
    files = [file for file in found if os.path.realpath(file) != os.path.realpath(project_file)]
    specs: list[LoadedSpec] = []
    for file in files:
        loaded, wrong = _load_file(file, root)
        specs += loaded
        problems += wrong
    problems += _clashes(specs)
    if check_paths:
        problems += [problem for spec in specs for problem in missing_paths(spec)]
    if problems or project is None:
        raise SpecError(sorted(problems, key=lambda problem: (problem.where or Origin(""), problem.what)))
    names = tuple(shown_name(file, root) for file in files)
    return Loaded(root, project, project_origins, tuple(sorted(specs, key=lambda spec: spec.origin)), names)


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
    known = ", ".join(f"{name}@{number}" for number in sorted(versions.get(name, ())))
    near = "" if known else did_you_mean(name, versions)
    return Problem(
        f"{path} is {model}, but no spec defines that job, and no trained model of that name is known",
        about=str(item.address),
        why=f"the specs define {known}" if known else "",
        fix=near or f"add a TrainingJob with name: {name} and version: {version}, or name another model",
        where=item.origin_of(path),
    )


# -- one file --------------------------------------------------------------------------------------


def _load_project(file: Path, root: Path) -> tuple[Project | None, Mapping[str, Origin], list[Problem]]:
    if not os.path.lexists(file):
        missing = Problem(
            f"there is no {PROJECT_FILE} in {root}",
            why="it marks the root of a project and holds its settings",
            fix="run `sagespec init` there",
        )
        return None, {}, [missing]
    documents, problems = _documents(file, root)
    project, origins = None, LazyOrigins(documents[0][0]) if documents else {}
    for document, described in documents:
        if isinstance(described, Project) and project is None:
            project, origins = described, LazyOrigins(document)
        elif described:
            fix = (
                "remove this document"
                if isinstance(described, Project)
                else "move this document to a file under specs/"
            )
            problems.append(
                Problem(f"{PROJECT_FILE} holds one document, the project's settings", fix=fix, where=document.place())
            )
    if project is None and not problems:
        fix = f"start it with apiVersion: {API_VERSION}, kind: Project and a name"
        problems.append(Problem("holds no document", fix=fix, where=Origin(shown_name(file, root))))
    return project, origins, problems


def _load_file(file: Path, root: Path) -> tuple[list[LoadedSpec], list[Problem]]:
    documents, problems = _documents(file, root)
    specs = []
    for document, described in documents:
        if isinstance(described, Project):
            problems.append(
                Problem(
                    f"a Project outside {PROJECT_FILE}",
                    why="a repository is one project, with its settings at its root",
                    fix=f"move what it sets to {PROJECT_FILE}",
                    where=document.place(),
                )
            )
        elif described:
            specs.append(LoadedSpec(described, document.place(), LazyOrigins(document), file.parent))
    return specs, problems


def _documents(file: Path, root: Path) -> tuple[list[tuple[Document, Spec | Project | None]], list[Problem]]:
    """The file's documents with what each describes (None where it is wrong), and all that is wrong."""
    name = shown_name(file, root)
    try:
        reading = Reading(read_text(file, name), name)
    except SpecError as error:
        return [], list(error.problems)
    documents: list[tuple[Document, Spec | Project | None]] = []
    problems: list[Problem] = []
    for document in reading.documents():
        described = _describe(document)
        documents.append((document, None if isinstance(described, list) else described))
        problems += described if isinstance(described, list) else []
    # What YAML itself leaves unclear is told as that alone, not also as a field of the wrong type.
    unclear = {problem.where for problem in reading.problems}
    return documents, reading.problems + [problem for problem in problems if problem.where not in unclear]


def _describe(document: Document) -> Spec | Project | list[Problem]:
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return [wrong_kind(document)]
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        return Objections(document, model).problems(error)


# -- across documents ------------------------------------------------------------------------------


def _clashes(specs: Sequence[LoadedSpec]) -> Iterator[Problem]:
    """Addresses given twice, and names that differ in case alone."""
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
                f"its name differs from {earlier.address.name} at {earlier.origin} in case alone",
                about=str(address),
                why="host names, and the file names of some systems, ignore case",
                fix="spell both alike, or rename one",
                where=item.origin_of("name"),
            )


def missing_paths(item: LoadedSpec) -> Iterator[Problem]:
    """Local data and model archives that a spec names and that are not there."""
    match item.spec:
        case TrainingJob() as job:
            for name, channel in job.channels.items():
                path = item.local_path(channel.source)
                if path and not holds(path.exists):
                    yield _missing_path(item, f"channels.{name}.source", channel.source, path)
            yield from _missing_programs(item, job)
        case Endpoint() as endpoint:
            for index, variant in enumerate(endpoint.variants):
                path = None if named_job(variant.model) else item.local_path(variant.model)
                if path and not holds(path.is_file):
                    yield _missing_path(item, f"variants.{index}.model", variant.model, path)


def _missing_programs(item: LoadedSpec, job: TrainingJob) -> Iterator[Problem]:
    field = "source_dir" if job.source_dir else "entry_point"
    if script := job.source_dir or job.entry_point:
        path = item.local_path(script)
        if path and not holds(path.exists):
            yield _missing_path(item, field, script, path)
    if job.build:
        path = item.local_path(job.build.context)
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
        why=f"paths start at the spec's file, so this is {path}",
        fix="mend the path, or put the data there",
        where=item.origin_of(field),
    )
