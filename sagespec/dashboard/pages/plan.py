"""The plan: what `apply` would do and why, and a button that does just that, unless it has changed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sagespec.dashboard.desk import desk, visitor
from sagespec.dashboard.rendering import page
from sagespec.errors import Problem
from sagespec.events import Report
from sagespec.plan import Plan
from sagespec.reconcile.options import Approved, Options
from sagespec.show.verbs import VERBS, counts, counts_text

pages = Blueprint("plan", __name__)

MOST = 200  # rows


@dataclass(frozen=True)
class Row:
    """One line of the plan as it is printed. tone: of its verb."""

    verb: str
    tone: str
    about: str
    cause: str


def rows_of(plan: Plan) -> list[Row]:
    actions = [Row(a.verb, VERBS[a.verb][0], str(a.about), str(a.cause)) for a in plan.actions]
    return [*actions, *(Row("running", "change", str(running.about), running.text) for running in plan.running)]


@pages.get("/plan")
def plan() -> Response:
    look = desk().plan.last()
    found = look.value
    rows = rows_of(found.plan) if found else []
    summary = counts_text(found.plan) if found else ""
    digest = found.plan.digest if found else ""
    problems = look.problems
    return page(
        "plan", found=found, digest=digest, rows=rows, summary=summary, plan_problems=problems, most=MOST, every=4
    )


@pages.get("/plan.json")
def plan_json() -> Response:
    """What `sagespec plan --output json` says."""
    found = desk().plan.last().known()
    return jsonify(found.plan.as_json() | {"counts": counts(found.plan), "runtime": found.runtime})


@pages.post("/plan/apply")
def apply() -> AnyResponse:
    digest = request.form.get("digest", "")
    project = desk().project

    def work(report: Report) -> tuple[Problem, ...]:
        return project.apply(Options(expects=Approved(digest or "none")), report=report, check=False).problems

    desk().deeds.begin(f"apply plan {digest[:12]}", visitor().name, work)
    return redirect(f"{request.script_root}/plan", 303)
