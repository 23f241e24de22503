"""The revisions of an endpoint, and the way back to one: its plan first, then a button that does just that."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.exceptions import abort
from werkzeug.wrappers import Response as AnyResponse

from sagespec.dashboard.desk import desk, visitor
from sagespec.dashboard.rendering import page
from sagespec.errors import Problem, SpecError
from sagespec.events import Report
from sagespec.plan import Plan
from sagespec.state.addresses import endpoint_address
from sagespec.state.revision import Revision, live_revision
from sagespec.verbs.changes import record_changes, rows_of
from sagespec.verbs.rollback import plan_rollback, rollback_targets
from sagespec.verbs.rolling import rolling_of

pages = Blueprint("revisions", __name__)
AT = "/endpoints/<name>/revisions"
LONGEST_REASON = 500


@dataclass(frozen=True)
class Way:
    """What rolling back to revision `number` would do. changes: what is asked for then and not now. digest: of the
    plan, which the button sends back."""

    number: int
    plan: Plan
    changes: tuple[str, ...]

    @property
    def digest(self) -> str:
        return self.plan.digest


@pages.get(AT)
def revisions(name: str) -> Response:
    found = revisions_of(name)
    live = live_revision(found)
    targets = {target.number for target in rollback_targets(found, live)} if live else set()
    rows = list(reversed(rows_of(found, _rolling(name, found))))
    return page("revisions", name=name, rows=rows, targets=targets, live=live, every=5)


@pages.get(f"{AT}.json")
def revisions_json(name: str) -> Response:
    """What `sagespec history` says of it."""
    found = revisions_of(name)
    rows = [row.as_json() for row in rows_of(found, _rolling(name, found))]
    return jsonify({"address": str(endpoint_address(name)), "revisions": rows})


@pages.get(f"{AT}/<int:number>/roll-back")
def roll_back(name: str, number: int) -> Response:
    """The plan; nothing is done yet."""
    return _asking(name, number)


@pages.post(f"{AT}/<int:number>/roll-back")
def roll_back_now(name: str, number: int) -> AnyResponse:
    """Bound to the plan that was shown: here, so that another one is shown at once, and once more under the lock."""
    digest, reason = request.form.get("digest", ""), request.form.get("reason", "").strip()[:LONGEST_REASON]
    if way_to(name, number).digest != digest:
        answer = _asking(name, number, is_stale=True)
        answer.status_code = 409
        return answer
    project, who = desk().project, visitor().name
    said = "; ".join(filter(None, (reason, f"from the dashboard{f' by {who}' if who else ''}")))

    def work(report: Report) -> tuple[Problem, ...]:
        return project.rollback(name, to=number, reason=said, plan_digest=digest, report=report, check=False).problems

    desk().deeds.begin(f"roll {endpoint_address(name)} back to revision {number}", who, work)
    return redirect(f"{request.script_root}/endpoints/{name}/revisions", 303)


def _rolling(name: str, found: tuple[Revision, ...]) -> Revision | None:
    return rolling_of(desk().project.parts, name, found)


def _asking(name: str, number: int, *, is_stale: bool = False) -> Response:
    return page("rollback", name=name, way=way_to(name, number), is_stale=is_stale, every=3600)


def revisions_of(name: str) -> tuple[Revision, ...]:
    found = desk().project.parts.records.history(name)
    if not found:
        abort(404, f"endpoint {name[:80]} has no revisions: it never served")
    return found


def way_to(name: str, number: int) -> Way:
    found = revisions_of(name)
    target = next((revision for revision in found if revision.number == number), None)
    live = live_revision(found)
    if target is None or live is None:
        abort(404, f"endpoint {name[:80]} has no revision {number}" if live else f"endpoint {name[:80]} does not serve")
    try:
        _, plan = plan_rollback(desk().project.parts, name, number)
    except SpecError as error:  # it never served, or is what serves now
        plan = Plan(refused=error.problems)
    return Way(number, plan, tuple(record_changes(live.asked, target.asked)))
