"""Which project the verbs act on: the one around the working folder, unless another is named; made where there is none.

A project stays open for as long as the process lives, since a notebook asks it again and again.
"""

from __future__ import annotations

import threading
from pathlib import Path

from sagespec.errors import SpecError
from sagespec.load.load import find_root
from sagespec.load.loaded import PROJECT_FILE
from sagespec.project import Project
from sagespec.verbs.init import make_bare_project

ProjectLike = Project | Path | str | None

_open: dict[Path, Project] = {}
_lock = threading.Lock()


def project_of(given: ProjectLike = None, *, may_make: bool = False) -> Project:
    """The project that is meant. given: one, or a folder in it; None for the working folder.

    may_make: where no folder above has a sagespec.yaml, write one into this.
    """
    if isinstance(given, Project):
        return given
    start = Path(given) if given is not None else Path.cwd()
    with _lock:
        root = _root_of(start, may_make=may_make).resolve()
        if root not in _open:
            _open[root] = Project(root)
        return _open[root]


def _root_of(start: Path, *, may_make: bool) -> Path:
    try:
        return find_root(start)
    except SpecError as error:
        has_none = error.problems[0].what.startswith(f"no {PROJECT_FILE} in ")
        if not may_make or not has_none:
            raise
    folder = start.absolute()
    if folder == Path.home() or folder == folder.parent:
        raise SpecError(
            f"{folder} is in no project, and is not made one",
            why="everything below it would belong to it",
            fix=f"work in a folder of its own: mkdir {folder / 'my-models'} && cd {folder / 'my-models'}",
        )
    name = make_bare_project(folder)
    print(f"{folder / PROJECT_FILE} is new: this folder is now the project {name}. Models are kept in .sagespec/store.")
    return folder
