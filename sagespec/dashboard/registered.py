"""The models of a project and what `gc` would do with each, as a page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from sagespec.errors import Problem, SagespecError
from sagespec.project import Project
from sagespec.verbs.gc import Collected
from sagespec.verbs.registry import ModelState, models


@dataclass(frozen=True)
class Registered:
    """collected: of `gc` that changes nothing; None where it cannot be said, since specs of some environment are
    wrong, with the problems."""

    models: tuple[ModelState, ...]
    collected: Collected | None
    problems: tuple[Problem, ...] = ()


def registered(project: Project) -> Registered:
    found = models(project.parts)
    try:
        return Registered(found, project.gc())
    except SagespecError as error:
        return Registered(found, None, error.problems)
