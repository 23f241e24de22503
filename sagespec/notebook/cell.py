"""A cell of YAML as a spec: what it would change, and the file it becomes.

It is read from a file beside the one it would be, so that its paths mean what they will mean there. Problems name the
cell and its line, of which the magic's own is the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sagespec.documents.files import MARK, is_ours, one_writer, write
from sagespec.errors import Problem, SagespecError, SpecError

if TYPE_CHECKING:
    from sagespec.plan import Plan
    from sagespec.project import Project
    from sagespec.state.addresses import Address

SPECS = "specs"
CELL = "cell"
HEADING = f"{MARK} from a notebook's cell. Yours to edit; the cell, run again, replaces it."


def plan_cell(root: Path, text: str) -> Plan:
    """The plan with the cell's documents in the place of those with the same addresses."""
    with _project(root, text, root / SPECS / f"{CELL}.yaml") as (project, name):
        plan = project.plan()
    return replace(plan, refused=tuple(_of_cell(problem, name) for problem in plan.refused))


def write_cell(root: Path, text: str, name: str) -> object:
    """Saves the cell as specs/NAME once it is known to be right, and applies what it describes, and nothing else."""
    from sagespec.notebook.words import screen_of
    from sagespec.project import Project

    file = target(root, name)
    with one_writer(root):
        if file.exists() and not is_ours(file):
            what = f"{file.relative_to(root)} was not written by a cell, so it is not replaced"
            raise SpecError(what, fix="choose another name, or edit that file")
        with _project(root, text, file) as (project, _):
            project.validate()
            addresses = _addresses(root, project.parts.specs[0])
        write(file, f"{HEADING}\n{text}")
    with Project.open(root) as project:
        screen_of(project).line(f"{file.relative_to(root)} is written")
        return project.apply(only=addresses)


def target(root: Path, name: str) -> Path:
    """The file below specs/ that `--write NAME` means: churn, churn.yaml and specs/churn.yaml are one."""
    given = Path(name)
    parts = given.parts[1:] if given.parts[:1] == (SPECS,) else given.parts
    if not parts or given.is_absolute() or ".." in parts or any(part.startswith(".") for part in parts):
        raise SpecError(f"--write {name} does not name a file below {SPECS}/", fix="give a name such as churn.yaml")
    file = root.joinpath(SPECS, *parts)
    return file if file.suffix in (".yaml", ".yml") else file.with_name(f"{file.name}.yaml")


@contextmanager
def _project(root: Path, text: str, file: Path) -> Iterator[tuple[Project, str]]:
    """The project with the text as the content of `file`, and without what it replaces; and how its problems call the
    text."""
    from sagespec.project import Project

    if not text.strip():
        raise SpecError("the cell is empty", fix="write a document of YAML below the first line")
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.stem}.{os.getpid()}.{CELL}.yaml")
    name = beside.relative_to(root).as_posix()
    beside.write_text(text, encoding="utf-8", newline="\n")
    try:
        with Project(root, [beside, *_others(root, beside, file)]) as project:
            yield project, name
    except SagespecError as error:
        raise type(error)([_of_cell(problem, name) for problem in error.problems]) from None
    finally:
        beside.unlink()


def _others(root: Path, cell: Path, file: Path) -> list[Path]:
    """The project's other files of specs, less those that the cell's documents are all of."""
    from sagespec.load.files import find_files

    own = _addresses(root, cell)
    found = [path for path in find_files([root / SPECS], root)[0] if path != file]
    others = []
    for path in found:
        try:
            told = _addresses(root, path)
        except SpecError:
            told = set()
        if not told or not told <= own:
            others.append(path)
    return others


def _addresses(root: Path, file: Path) -> set[Address]:
    from sagespec.load.load import load

    return {item.address for item in load([file], root, check_paths=False).specs}


def _of_cell(problem: Problem, name: str) -> Problem:
    texts = {part: getattr(problem, part).replace(name, CELL) for part in ("what", "why", "fix")}
    where = problem.where
    if where and where.file == name:
        return replace(problem, where=replace(where, file=CELL, line=where.line + 1), **texts)
    return replace(problem, **texts)
