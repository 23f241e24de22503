"""The two buttons of a rollout: all of the traffic to the new revision now, or back."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from werkzeug.exceptions import abort
from werkzeug.wrappers import Response as AnyResponse

from sagespec.dashboard.desk import desk, visitor
from sagespec.dashboard.pages.endpoint import state_of
from sagespec.errors import Problem
from sagespec.events import Report
from sagespec.state.addresses import endpoint_address

pages = Blueprint("steering", __name__)
LONGEST_REASON = 500
WORDS = {"promote": "promote revision {} of {}", "abort": "take revision {} of {} back"}


@pages.post("/endpoints/<name>/rollout/<int:number>/<any(promote, abort):verb>")
def steer(name: str, number: int, verb: str) -> AnyResponse:
    """Bound to the revision that was shown: another one may be on its way by now."""
    rolling = state_of(name).rolling
    if rolling is None or rolling.number != number:
        abort(409, f"revision {number} of endpoint {name[:80]} is not being rolled out any more: nothing was done")
    project, who = desk().project, visitor().name
    reason = request.form.get("reason", "").strip()[:LONGEST_REASON]
    said = "; ".join(filter(None, (reason, f"from the dashboard{f' by {who}' if who else ''}")))

    def work(report: Report) -> tuple[Problem, ...]:
        do = project.promote if verb == "promote" else project.abort
        return do(name, reason=said, report=report, check=False).problems

    desk().deeds.begin(WORDS[verb].format(number, endpoint_address(name)), who, work)
    return redirect(f"{request.script_root}/endpoints/{name}", 303)
