"""YAML files to specs, or to every problem in all of them at once, each with its place.

`verbs.plan` calls `load` on every pass; `resolve` and `reconcile` read what it returns. Four steps, a file
each: `files` finds and reads, `reading` turns YAML into plain data (whose `places` are known), `likes` puts jobs
together that are like others, and the models of `spec` check all, with `words` saying what they object to. Nothing
outside the files is looked at, except whether a local path that a spec names exists.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from sagespec.errors import Origin, Problem, SpecError
from sagespec.load.files import find_files, read_text, shown_name
from sagespec.load.likes import likes_of, merged, told_here
from sagespec.load.loaded import PROJECT_FILE, Loaded, LoadedSpec
from sagespec.load.once import told_once
from sagespec.load.places import LazyOrigins, YamlDocument
from sagespec.load.reading import Reading
from sagespec.load.references import clashes, missing_paths
from sagespec.load.words import Objections, empty_hyperparameters, wrong_kind
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
    specs, wrong = _load_specs(files, root)
    problems += wrong
    problems += clashes(specs)
    if check_paths:
        problems += [problem for spec in specs for problem in missing_paths(spec)]
    if problems or project is None:
        raise SpecError(told_once(problems, specs))
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
    read = _read(file, root)
    project, origins, problems = None, LazyOrigins(read.documents[0]) if read.documents else {}, list(read.problems)
    for document in read.documents:
        described, wrong = _describe(document)
        problems += _clear(wrong, read.problems)
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


def _load_specs(files: Sequence[Path], root: Path) -> tuple[list[LoadedSpec], list[Problem]]:
    """What the documents of all files describe, each checked after the one that it is like."""
    read = [_read(file, root) for file in files]
    documents = [document for file in read for document in file.documents]
    folders = [{document.place().file: file.folder} for file in read for document in file.documents]
    unclear = [problem for file in read for problem in file.problems]
    likes = likes_of(documents, all_are_read=not unclear)
    specs: dict[int, LoadedSpec] = {}
    problems = unclear + [problem for problem in likes.wrong.values() if problem]
    for number in likes.in_order(len(documents)):
        base, (folder, *_) = likes.bases.get(number), folders[number].values()
        if number in likes.wrong or (base is not None and base not in specs):
            continue  # what is wrong with a job is told once, not of all that are like it
        own = documents[number]
        if base is not None:
            documents[number], nulls = merged(documents[number], documents[base])
            problems += nulls
            folders[number] |= {name: other for name, other in folders[base].items() if other != folder}
        described, wrong = _describe(documents[number])
        wrong = wrong if base is None else [told_here(problem, own, documents[number]) for problem in wrong]
        problems += _clear(wrong, unclear)
        place = documents[number].place()
        if isinstance(described, ProjectSettings):
            problems.append(_project_elsewhere(place))
        elif described:
            others = {name: other for name, other in folders[number].items() if name != place.file}
            found = LoadedSpec(described, place, LazyOrigins(documents[number]), folder, others)
            specs[number] = found if base is None else replace(found, like=own.data["like"], own=LazyOrigins(own))
    return list(specs.values()), problems


def _project_elsewhere(where: Origin) -> Problem:
    return Problem(
        f"a Project outside {PROJECT_FILE}",
        why="a repository is one project, with its settings at its root",
        fix=f"move what it sets to {PROJECT_FILE}",
        where=where,
    )


class _Read(NamedTuple):
    """A file's documents, and what is wrong with it before they are looked at."""

    folder: Path
    documents: list[YamlDocument]
    problems: list[Problem]


def _read(file: Path, root: Path) -> _Read:
    name = shown_name(file, root)
    try:
        reading = Reading(read_text(file, name), name)
    except SpecError as error:
        return _Read(file.parent, [], list(error.problems))
    return _Read(file.parent, list(reading.documents()), reading.problems)


def _clear(problems: Sequence[Problem], unclear: Sequence[Problem]) -> list[Problem]:
    """Without what is unclear as YAML: that is not also reported as a field of the wrong type."""
    places = {problem.where for problem in unclear}
    return [problem for problem in problems if problem.where not in places]


def _describe(document: YamlDocument) -> tuple[_Described | None, list[Problem]]:
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return None, [wrong_kind(document)]
    empty = empty_hyperparameters(document)
    try:
        return model.model_validate(document.data), empty
    except ValidationError as error:
        return None, Objections(document, model).problems(error) + empty
