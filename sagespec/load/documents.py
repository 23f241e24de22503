"""The documents of one file, and what a document describes: YAML to models, each problem with its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from sagespec.errors import Problem, SpecError
from sagespec.load.files import read_text, shown_name
from sagespec.load.places import YamlDocument
from sagespec.load.reading import Reading
from sagespec.load.words import Objections, empty_hyperparameters, wrong_kind
from sagespec.spec.environment import Environment
from sagespec.spec.kinds import KINDS, Spec
from sagespec.spec.project import ProjectSettings

Described = Spec | ProjectSettings | Environment


class Read(NamedTuple):
    """A file's documents, and what is wrong with it before they are looked at."""

    folder: Path
    documents: list[YamlDocument]
    problems: list[Problem]


def read(file: Path, root: Path) -> Read:
    try:
        return reading(read_text(file, shown_name(file, root)), file, root)
    except SpecError as error:
        return Read(file.parent, [], list(error.problems))


def reading(text: str, file: Path, root: Path) -> Read:
    """The documents of `text`, as if it stood in `file`."""
    try:
        found = Reading(text, shown_name(file, root))
    except SpecError as error:
        return Read(file.parent, [], list(error.problems))
    return Read(file.parent, list(found.documents()), found.problems)


def clear(problems: Sequence[Problem], unclear: Sequence[Problem]) -> list[Problem]:
    """Without what is unclear as YAML: that is not also reported as a field of the wrong type."""
    places = {problem.where for problem in unclear}
    return [problem for problem in problems if problem.where not in places]


def describe(document: YamlDocument) -> tuple[Described | None, list[Problem]]:
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return None, [wrong_kind(document)]
    empty = empty_hyperparameters(document)
    try:
        return model.model_validate(document.data), empty
    except ValidationError as error:
        return None, Objections(document, model).problems(error) + empty
