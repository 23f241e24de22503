"""What went wrong, as a list: the place, the thing, the fact; why, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence

from sagespec.errors import Problem
from sagespec.show.html.markup import Html, element, joined
from sagespec.show.html.tables import left_out, shortened

MOST = 50
MOST_LETTERS = 4000  # of one text: the last lines of a job's log are in it


def problems(found: Sequence[Problem], *, most: int = MOST) -> Html:
    """The problems, and how many were left out; nothing when there are none."""
    if not found:
        return Html()
    return joined([element("ul", *map(_item, found[:most]), cls="problems"), left_out(len(found) - most, "problems")])


def _item(problem: Problem) -> Html:
    what, *lines = shortened(problem.what, MOST_LETTERS).split("\n")
    head: list[object] = []
    if problem.where:
        head += [element("code", str(problem.where)), " "]
    if problem.about:
        head += [element("b", problem.about), ": "]
    parts = [element("p", *head, what)]
    if lines:
        parts.append(element("pre", "\n".join(lines)))
    for label, text in (("why", problem.why), ("fix", problem.fix)):
        if text:
            parts.append(element("p", element("span", label, cls="dim"), " ", shortened(text, MOST_LETTERS)))
    return element("li", *parts)
