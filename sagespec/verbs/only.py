"""Some of the specs alone: a job, or an endpoint with the jobs it needs.

Who asks for one thing, in a notebook say, is not held up by what is wrong with another one, and nothing else is applied
on the way. What is wrong with the specs that are asked for is reported, with whatever clashes with them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sagespec.errors import Problem, SpecError
from sagespec.load.loaded import Loaded
from sagespec.load.once import told_once
from sagespec.parts import Parts
from sagespec.resolve.resolve import wanted_manifests
from sagespec.state.addresses import Address


def load_only(parts: Parts, only: Collection[Address]) -> Loaded:
    """The specs of these addresses and of the jobs whose models they serve; what no spec has is left out."""
    loaded, problems = parts.load_what_is_right()
    asked = [item for item in loaded.specs if item.address in only]
    needed = {*only, *wanted_manifests(replace(loaded, specs=tuple(asked)))}
    about = set(map(str, needed))
    if wrong := [problem for problem in problems if problem.about in about]:
        raise SpecError(told_once(wrong, loaded.specs))
    return replace(loaded, specs=tuple(item for item in loaded.specs if item.address in needed))


def refuse_what_no_spec_has(parts: Parts, only: Collection[Address]) -> None:
    """SpecError where a spec is missing; with what is wrong with others, since one of them may be meant to be it."""
    loaded, problems = parts.load_what_is_right()
    missing = sorted(set(only) - {item.address for item in loaded.specs})
    if missing:
        fix = "write one, or check its name"
        absent = [Problem("is in no spec", about=str(address), fix=fix) for address in missing]
        raise SpecError(told_once(problems, loaded.specs) or absent)
