"""The plan: as a list with causes, as JSON, or through `markdown` for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.errors import Problem
from sagespec.show.markdown import plan_markdown
from sagespec.show.problems import annotate, problem_cells
from sagespec.show.screen import Cell, Screen
from sagespec.show.verbs import VERBS, counts, counts_text

if TYPE_CHECKING:
    from sagespec.plan import Action, Plan, Running


def write_plan(screen: Screen, plan: Plan, *, runtime: str) -> None:
    """The plan as a list with causes, what is refused, notes, and the counts last (first in Markdown)."""
    if screen.format == "json":
        screen.document(plan.as_json() | {"counts": counts(plan), "runtime": runtime})
        return
    annotate(screen, plan.refused)
    if screen.format == "markdown":
        screen.line(plan_markdown(plan, runtime=runtime))
        return
    screen.line((runtime, "dim"))
    if plan.actions or plan.running:
        screen.line()
        rows = [*map(_action_row, plan.actions), *map(running_row, plan.running)]
        screen.table(rows, indent="  ")
    write_refused_and_notes(screen, plan.refused, plan.notes)
    tone = "bad" if plan.refused else "bold"
    screen.line("\n", (counts_text(plan), tone))


def _action_row(action: Action) -> list[Cell]:
    return [(action.verb, VERBS[action.verb][0]), str(action.about), (str(action.cause), "dim")]


def running_row(running: Running) -> list[Cell]:
    """A job that another run follows."""
    return [("running", "change"), str(running.about), (running.text, "dim")]


def write_refused_and_notes(screen: Screen, refused: Sequence[Problem], notes: Sequence[str]) -> None:
    for problem in refused:
        screen.line("\n", ("refused  ", "bad"), *problem_cells(screen, problem))
    if notes:
        screen.line()
    for note in notes:
        screen.line(("note  ", "change"), note)
