"""The queue: which jobs run and wait, for what, what the engine has left, and the runs of sagespec at work."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.wrong import is_under_way, newest_first
from sagespec.dashboard.rendering import page
from sagespec.reconcile.turns import Request, shown
from sagespec.verbs.states import JobState, JobWord, Status

pages = Blueprint("queue", __name__)


@pages.get("/queue")
def queue() -> Response:
    status = desk().latest.seen().value
    look = desk().plan.last()
    running = [job for job in _by_time(status) if is_under_way(job)]
    found = look.value
    held = {request.about: request for request in found.holding} if found else {}
    asked = {**(found.needs if found else {}), **held}
    return page(
        "queue",
        running=running,
        waiting=[job for job in _by_time(status) if job.state is JobWord.WAITING],
        needs={about: needs_text(request) for about, request in asked.items()},
        holding=[request for request in held.values() if request.about.kind != "job"],
        resources=found.resources if found else (),
        limit=desk().project.parts.settings.parallel_jobs,
    )


@pages.get("/queue.json")
def queue_json() -> Response:
    """The jobs that run or wait, and the runs, as `sagespec status` has them; and what the engine has and holds."""
    status = desk().latest.seen().known()
    found = desk().plan.last().known()
    jobs = [job.as_json() for job in _by_time(status) if is_under_way(job) or job.state is JobWord.WAITING]
    resources = {one.name: {"total": one.total, "held": one.held} for one in found.resources}
    return jsonify({"jobs": jobs, "runs": [run.as_json() for run in status.runs], "resources": resources})


def _by_time(status: Status | None) -> list[JobState]:
    return sorted(status.jobs if status else (), key=newest_first, reverse=True)


def needs_text(request: Request) -> str:
    """'2 CPUs, 1.5 GiB of memory'; '' for one that states nothing."""
    return ", ".join(shown(name, amount) for name, amount in request.needs.items())
