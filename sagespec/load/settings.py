"""sagespec.yaml to the project's settings, as they are in an environment if one is meant."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sagespec.errors import Origin, Problem
from sagespec.load.documents import Described, clear, describe, read
from sagespec.load.environments import Chosen
from sagespec.load.files import shown_name
from sagespec.load.loaded import PROJECT_FILE
from sagespec.load.places import YamlDocument
from sagespec.spec.document import API_VERSION
from sagespec.spec.project import ProjectSettings


class Settings(NamedTuple):
    """project: None where something is wrong with it, as `problems` then say."""

    project: ProjectSettings | None
    document: YamlDocument | None
    taken_away: Mapping[str, Origin]
    problems: list[Problem]


def load_settings(file: Path, root: Path, among: Chosen | None) -> Settings:
    if not os.path.lexists(file):
        missing = Problem(
            f"there is no {PROJECT_FILE} in {root}",
            why="it marks the root of a project and holds its settings",
            fix="run `sagespec init` there",
        )
        return Settings(None, None, {}, [missing])
    found = read(file, root)
    problems = list(found.problems)
    if not found.documents:
        fix = f"start it with apiVersion: {API_VERSION}, kind: Project and a name"
        empty = Problem("holds no document", fix=fix, where=Origin(shown_name(file, root)))
        return Settings(None, None, {}, problems or [empty])
    project: ProjectSettings | None = None
    kept, taken_away = found.documents[0], dict[str, Origin]()
    for document in found.documents:
        described, wrong = describe(document)
        if among and isinstance(described, ProjectSettings) and project is None:
            base, (merged, absent) = described, among.over_settings(document)
            document, taken_away = merged.document, dict(merged.taken_away)
            described, wrong = describe(document)
            wrong = [*absent, *wrong, *among.wrong_project(base, described, root)]
        problems += clear(wrong, found.problems)
        if isinstance(described, ProjectSettings) and project is None:
            project, kept = described, document
        elif described:
            problems.append(_another(described, document))
    return Settings(project, kept, taken_away, problems)


def _another(described: Described, document: YamlDocument) -> Problem:
    is_project = isinstance(described, ProjectSettings)
    fix = "remove this document" if is_project else "move this document to a file under specs/"
    return Problem(f"{PROJECT_FILE} holds one document, the project's settings", fix=fix, where=document.place())
