"""Problems in the order of their places, and each once: what several jobs have from one line is told of one of them.

`load`, `resolve` and `verbs.plan` raise what they have found through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sagespec.errors import Origin, Problem
from sagespec.load.loaded import LoadedSpec


def told_once(problems: Iterable[Problem], specs: Sequence[LoadedSpec]) -> list[Problem]:
    """Of equal problems at one line, that of the job which has the line; if it has none, the first by name."""
    groups: dict[tuple[Origin | None, str, str], list[Problem]] = {}
    for problem in dict.fromkeys(problems):
        named = problem.about if problem.where is None else ""
        groups.setdefault((problem.where, problem.what, named), []).append(problem)
    told = [_told(group, specs) for group in groups.values()]
    return sorted(told, key=lambda problem: (problem.where or Origin(""), problem.about, problem.what))


def _told(group: Sequence[Problem], specs: Sequence[LoadedSpec]) -> Problem:
    where = group[0].where
    owner = _owner_of(where, specs) if where and len(group) > 1 else ""
    return min(group, key=lambda problem: (problem.about != owner, problem.about))


def _owner_of(where: Origin, specs: Sequence[LoadedSpec]) -> str:
    """The address of the document in which the line is."""
    above = (item for item in specs if item.origin.file == where.file and item.origin <= where)
    owner = max(above, key=lambda item: item.origin, default=None)
    return str(owner.address) if owner else ""
