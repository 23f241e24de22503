"""YAML files to specs, or to every problem in all of them at once, each with its place.

`verbs.plan` calls `load` on every pass; `resolve` and `reconcile` read what it returns. Three steps, a file
each: `files` finds and reads, `reading` turns YAML into plain data (whose `places` are known), and the models
of `spec` check it, with `words` saying what they object to. Nothing outside the files is looked at,
except whether a local path that a spec names exists.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from sagespec.errors import Origin, Problem, SpecError
from sagespec.load.files import find_files, read_text, shown_name
from sagespec.load.loaded import PROJECT_FILE, Loaded, LoadedSpec
from sagespec.load.places import LazyOrigins, YamlDocument
from sagespec.load.reading import Reading
from sagespec.load.references import clashes, missing_paths
from sagespec.load.words import Objections, wrong_kind
from sagespec.spec.document import API_VERSION
from sagespec.spec.kinds import KINDS, Spec
from sagespec.spec.project import ProjectSettings

_Described = Spec | ProjectSettings


def find_root(start: Path) -> Path:
    """The nearest of `start` and the folders above it that holds sagespec.yaml."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    for folder in (start, *start.parents):
        if near := _misnamed(folder):
            raise near
    raise SpecError(
        f"no {PROJECT_FILE} in {start} or in any folder above it",
        why="it marks the root of a project and holds its settings",
        fix="run `sagespec init` in the folder that should be the root",
    )


def _misnamed(folder: Path) -> SpecError | None:
    """A file of settings that is there by another name."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return None
    name = next((name for name in names if name.lower() in (PROJECT_FILE, "sagespec.yml")), None)
    if name is None:
        return None
    return SpecError(f"{folder / name} is not looked at", fix=f"rename it to {PROJECT_FILE}")


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
    problems += clashes(specs)
    if check_paths:
        problems += [problem for spec in specs for problem in missing_paths(spec)]
    if problems or project is None:
        raise SpecError(sorted(problems, key=lambda problem: (problem.where or Origin(""), problem.what)))
    names = tuple(shown_name(file, root) for file in files)
    return Loaded(root, project, project_origins, tuple(sorted(specs, key=lambda spec: spec.origin)), names)


def _load_project(file: Path, root: Path) -> tuple[ProjectSettings | None, Mapping[str, Origin], list[Problem]]:
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
        if isinstance(described, ProjectSettings) and project is None:
            project, origins = described, LazyOrigins(document)
        elif described:
            fix = (
                "remove this document"
                if isinstance(described, ProjectSettings)
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
        if isinstance(described, ProjectSettings):
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


def _documents(file: Path, root: Path) -> tuple[list[tuple[YamlDocument, _Described | None]], list[Problem]]:
    """The file's documents with what each describes (None where it is wrong), and all that is wrong."""
    name = shown_name(file, root)
    try:
        reading = Reading(read_text(file, name), name)
    except SpecError as error:
        return [], list(error.problems)
    documents: list[tuple[YamlDocument, _Described | None]] = []
    problems: list[Problem] = []
    for document in reading.documents():
        described = _describe(document)
        documents.append((document, None if isinstance(described, list) else described))
        problems += described if isinstance(described, list) else []
    # What is unclear as YAML is reported only as that, not also as a field of the wrong type.
    unclear = {problem.where for problem in reading.problems}
    return documents, reading.problems + [problem for problem in problems if problem.where not in unclear]


def _describe(document: YamlDocument) -> _Described | list[Problem]:
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return [wrong_kind(document)]
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        return Objections(document, model).problems(error)
