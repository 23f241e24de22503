"""Validates the specs in every environment at once, where none is named: a patch is wrong before anybody deploys it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sagespec.errors import Problem, SagespecError, SpecError
from sagespec.load.environments import environment_files
from sagespec.load.load import load
from sagespec.load.once import told_once
from sagespec.parts import Parts
from sagespec.spec.environment import ENVIRONMENTS
from sagespec.verbs.plan import Validated, validate


def validate_everywhere(parts: Parts) -> Validated:
    """In the environment that is named; else in each, and without one where that may be. SpecError with all that is
    wrong in any of them."""
    names = list(environment_files(parts.root))
    if parts.environment or not names:
        return validate(parts)
    bare = load([], parts.root, check_paths=False).project
    problems: dict[Problem, list[str]] = {}
    found: list[Validated] = []
    everywhere = [*([] if bare.require_environment else [""]), *names]
    for name in everywhere:
        try:
            one = Parts(parts.root, parts.given_specs, parts.runtime_choice, state_dir=parts.home, environment=name)
            found.append(_named(validate(one), name))
            one.close()
        except SagespecError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(name)
    if problems:
        told = [_told_where(problem, of, everywhere) for problem, of in problems.items()]
        raise SpecError(told_once(told, []))
    notes = tuple(dict.fromkeys(note for one in found for note in one.notes))
    return replace(found[0], environments=tuple(names), notes=notes)


def _told_where(problem: Problem, wrong_in: Sequence[str], everywhere: Sequence[str]) -> Problem:
    """With the environments that have it, where not all do, and where neither its place nor its words say so."""
    of_a_file = problem.where is not None and problem.where.file.startswith(f"{ENVIRONMENTS}/")
    is_said = of_a_file or problem.about.startswith("environment ")
    if is_said or wrong_in == everywhere:
        return problem
    named = [name for name in wrong_in if name]
    where = f"in {' and '.join(named)}" if len(named) == len(wrong_in) else "without an environment"
    return replace(problem, what=f"{where}: {problem.what}")


def _named(found: Validated, environment: str) -> Validated:
    """Its notes with the name of the environment, so that they can be told apart."""
    return replace(found, notes=tuple(f"{environment}: {note}" if environment else note for note in found.notes))
