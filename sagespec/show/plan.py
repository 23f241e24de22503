"""The plan: as a list with causes, as JSON, or through `markdown` for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.errors import Problem
from sagespec.show.figures import when_text
from sagespec.show.markdown import DRIFT, drift_markdown, plan_markdown
from sagespec.show.problems import annotate, problem_cells
from sagespec.show.rollouts import rolling_row
from sagespec.show.screen import Cell, Screen
from sagespec.show.suspended import suspended_rows
from sagespec.show.verbs import VERBS, counts, counts_text, drift_text

if TYPE_CHECKING:
    from sagespec.ongoing import Running
    from sagespec.plan import Action, Plan
    from sagespec.state.repairs import Repaired
    from sagespec.verbs.explain import Explained


def write_drift(
    screen: Screen,
    plan: Plan,
    *,
    runtime: str,
    repaired: Sequence[Repaired] = (),
    damage: Sequence[Problem] = (),
) -> None:
    """The drift alone, what is held back on purpose, and what was repaired lately. plan: of the drift. damage: what
    only a deeper look finds."""
    if screen.format == "json":
        held = [problem.as_json() for problem in plan.held]
        screen.document(
            plan.as_json()
            | {
                "held": held,
                "damage": [problem.as_json() for problem in damage],
                "repaired": [one.model_dump(mode="json") for one in repaired],
                "counts": counts(plan),
                "runtime": runtime,
            }
        )
        return
    if screen.format == "markdown":
        screen.line(drift_markdown(plan, runtime=runtime, damage=damage))
        return
    screen.line((runtime, "dim"))
    write_changes(screen, plan)
    for problem in damage:
        screen.line("\n", ("damage  ", "bad"), *problem_cells(screen, problem))
    for problem in plan.held:
        screen.line("\n", ("held  ", "change"), *problem_cells(screen, problem))
    write_stale(screen, plan)
    write_notes(screen, plan.notes)
    if repaired:
        screen.line()
        screen.line(("repaired lately", "bold"))
        screen.table([_repaired_row(one) for one in repaired], indent="  ")
    screen.line("\n", (drift_text(plan, len(damage)), "bold"))


def _repaired_row(one: Repaired) -> list[Cell]:
    return [when_text(one.at), one.action, one.about, (f"{one.seen}; by {one.by}", "dim")]


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
    write_changes(screen, plan)
    write_versions(screen, plan)
    write_stale(screen, plan)
    write_refused_and_notes(screen, plan.refused, plan.notes)
    tone = "bad" if plan.refused else "bold"
    screen.line("\n", (counts_text(plan), tone))


def write_explained(screen: Screen, found: Explained) -> None:
    """Both sides of one address, and what follows from them."""
    if screen.format == "json":
        screen.document(found.as_json())
    else:
        screen.line(found.as_plain_text())


def write_changes(screen: Screen, plan: Plan) -> None:
    """A line for each action, for each job that another run follows, and for each rollout between two steps,
    and for what is suspended; what repairs drift in a block of its own."""
    from sagespec.drift import drift_of, pending_of

    pending, drift = pending_of(plan), drift_of(plan)
    others = [*map(running_row, plan.running), *map(rolling_row, plan.rolling), *suspended_rows(plan.suspended)]
    changes = [*map(action_row, pending.actions), *others]
    for title, rows in (("changes of the specs", changes), (DRIFT.lower(), [*map(action_row, drift.actions)])):
        if rows:
            screen.line()
            if drift.actions:
                screen.line((title, "bold"))
            screen.table(rows, indent="  ")


def action_row(action: Action) -> list[Cell]:
    return [(action.verb, VERBS[action.verb][0]), str(action.about), (str(action.cause), "dim")]


def running_row(running: Running) -> list[Cell]:
    """A job that another run follows."""
    return [("running", "change"), str(running.about), (running.text, "dim")]


def write_versions(screen: Screen, plan: Plan) -> None:
    """What is trained for the first time, next to the version before."""
    if plan.versions:
        screen.line()
    for version in plan.versions:
        screen.line(("version  ", "change"), version.text)


def write_stale(screen: Screen, plan: Plan) -> None:
    """A line for each trained job whose data or image have moved on."""
    if plan.stale:
        screen.line()
    for one in plan.stale:
        screen.line(("stale  ", "change"), f"{one.about}: {one.text}")


def write_refused_and_notes(screen: Screen, refused: Sequence[Problem], notes: Sequence[str]) -> None:
    for problem in refused:
        screen.line("\n", ("refused  ", "bad"), *problem_cells(screen, problem))
    write_notes(screen, notes)


def write_notes(screen: Screen, notes: Sequence[str]) -> None:
    if notes:
        screen.line()
    for note in notes:
        screen.line(("note  ", "change"), note)
