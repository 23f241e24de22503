"""YAML files to specs, or to every problem in all of them at once, each with its place.

`verbs.plan` calls `load` on every pass; `resolve` and `reconcile` read what it returns. Five steps, a file
each: `files` finds and reads, `reading` turns YAML into plain data (whose `places` are known), `likes` puts jobs
together that are like others, `environments` changes what differs in the environment that is meant, and the models of
`spec` check all, with `words` saying what they object to. Nothing outside the files is looked at, except whether a
local path that a spec names exists.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sagespec.errors import Origin, Problem, SpecError
from sagespec.load.aliases import with_versions
from sagespec.load.documents import Read, clear, describe, read, reading
from sagespec.load.environments import Chosen, chosen, environment_files
from sagespec.load.files import find_files, shown_name
from sagespec.load.likes import likes_of, merged, told_here
from sagespec.load.loaded import PROJECT_FILE, Loaded, LoadedSpec, Written
from sagespec.load.once import told_once
from sagespec.load.places import LazyOrigins
from sagespec.load.references import clashes, missing_paths
from sagespec.load.settings import load_settings
from sagespec.spec.environment import ENVIRONMENTS, Environment
from sagespec.spec.project import ProjectSettings


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


def load(paths: Sequence[Path], root: Path, *, environment: str = "", check_paths: bool = True) -> Loaded:
    """Everything in the files and folders `paths` (relative ones start at `root`), with the settings of `root`.

    Raises SpecError with all problems of all files, sorted by place. environment: the one whose settings and specs are
    meant; '' for those of the files as they are. check_paths: whether local data that a spec names must be there.
    """
    loaded, problems = load_what_is_right(paths, root, environment)
    if check_paths:
        problems += [problem for spec in loaded.specs for problem in missing_paths(spec)]
    if problems:
        raise SpecError(told_once(problems, loaded.specs))
    return loaded


def load_what_is_right(paths: Sequence[Path], root: Path, environment: str = "") -> tuple[Loaded, list[Problem]]:
    """The specs that can be understood, and what is wrong with the others. SpecError when the settings are wrong."""
    root = root.absolute()
    among = chosen(root, environment) if environment else None
    project_file = root / PROJECT_FILE
    project, document, taken_away, problems = load_settings(project_file, root, among)
    found, unreadable = find_files(paths, root)
    problems += unreadable
    apart = {os.path.realpath(file) for file in (project_file, *environment_files(root).values())}
    files = [file for file in found if os.path.realpath(file) not in apart]
    specs, wrong = _load_specs([read(file, root) for file in files], among)
    problems += wrong
    if among:
        is_all = not wrong and not unreadable and _are_all(paths, among, root)
        problems += among.of_nothing([str(item.address) for item in specs]) if is_all else []
        specs = [item for item in specs if not among.leaves_out(str(item.address))]
    problems += clashes(specs)
    specs, models, unknown = with_versions(specs)
    problems += unknown
    if project is None or document is None:
        raise SpecError(told_once(problems, specs))
    return Loaded(
        root,
        project,
        LazyOrigins(document),
        tuple(sorted(specs, key=lambda spec: spec.origin)),
        tuple(shown_name(file, root) for file in files),
        environment=among.spec if among else None,
        written=Written(document.data, taken_away),
        models=models,
    ), problems


def specs_of(root: Path, environment: str) -> tuple[Path, ...]:
    """The files and folders with the specs of an environment; of '' the folder that every project has."""
    named = chosen(root, environment).spec.specs if environment else ("specs",)
    return tuple(root / path for path in named)


def _are_all(paths: Sequence[Path], among: Chosen, root: Path) -> bool:
    given, named = ({os.path.realpath(root / path) for path in some} for some in (paths, among.spec.specs))
    return named <= given


def load_text(text: str, file: Path, root: Path) -> LoadedSpec:
    """The one spec of `text`, as if it stood in `file`. SpecError with all that is wrong with it."""
    specs, problems = _load_specs([reading(text, file, root)])
    if problems:
        raise SpecError(told_once(problems, specs))
    (found,) = specs
    return found


def documents_of(file: Path, root: Path) -> list[Any]:
    """The plain data of a file's documents, whatever they describe. SpecError when it cannot be read."""
    found = read(file, root)
    if found.problems:
        raise SpecError(told_once(found.problems, []))
    return [document.data for document in found.documents]


def _load_specs(files: Sequence[Read], among: Chosen | None = None) -> tuple[list[LoadedSpec], list[Problem]]:
    """What the documents of all files describe, each checked after the one that it is like."""
    documents = [document for file in files for document in file.documents]
    folders = [{document.place().file: file.folder} for file in files for document in file.documents]
    unclear = [problem for file in files for problem in file.problems]
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
        described, wrong = describe(documents[number])
        wrong = wrong if base is None else [told_here(problem, own, documents[number]) for problem in wrong]
        taken_away: Mapping[str, Origin] = {}
        if among and not wrong and among.patches(documents[number]):
            before, (patched, absent) = documents[number], among.over_spec(documents[number])
            documents[number], taken_away = patched.document, patched.taken_away
            described, wrong = describe(documents[number])
            wrong = [*absent, *(among.told_there(problem, before) for problem in wrong)]
            folders[number] |= {among.file: among.folder}
        problems += clear(wrong, unclear)
        place = documents[number].place()
        if isinstance(described, ProjectSettings | Environment):
            problems.append(_elsewhere(described, place))
        elif described:
            others = {name: other for name, other in folders[number].items() if name != place.file}
            patched_in = among.file if among and among.file in others else ""
            origins, said = LazyOrigins(documents[number]), Written(documents[number].data, taken_away)
            found = LoadedSpec(described, place, origins, folder, others, patched_in=patched_in, written=said)
            specs[number] = found if base is None else replace(found, like=own.data["like"], own=LazyOrigins(own))
    return list(specs.values()), problems


def _elsewhere(described: ProjectSettings | Environment, where: Origin) -> Problem:
    if isinstance(described, Environment):
        return Problem(
            f"an Environment outside {ENVIRONMENTS}/",
            why=f"what differs in {described.name} is looked for in {ENVIRONMENTS}/{described.name}.yaml",
            fix=f"move it to {ENVIRONMENTS}/{described.name}.yaml",
            where=where,
        )
    return Problem(
        f"a Project outside {PROJECT_FILE}",
        why="a repository is one project, with its settings at its root",
        fix=f"move what it sets to {PROJECT_FILE}",
        where=where,
    )
