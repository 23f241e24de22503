"""One job: its state, curves and log as they come, what it was made from, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sagespec.dashboard.curves import Curve, figures_of, last_at, polyline
from sagespec.dashboard.desk import Desk, desk, visitor
from sagespec.dashboard.log import Log
from sagespec.dashboard.pages.facts import Facts, compared, data_of, served_by
from sagespec.dashboard.pages.following import download, log_values, stream
from sagespec.dashboard.pages.wrong import is_under_way
from sagespec.dashboard.rendering import NotThere, page
from sagespec.dashboard.words import job_path
from sagespec.errors import Problem
from sagespec.events import Event, EventKind, Report
from sagespec.plan import RunJob
from sagespec.reconcile.options import Options
from sagespec.state.addresses import Address, job_address
from sagespec.verbs.differences import parameters_of
from sagespec.verbs.history import manifest_as_json
from sagespec.verbs.lineage import histories, served_in
from sagespec.verbs.metrics import Series
from sagespec.verbs.states import JobState, Status

pages = Blueprint("job", __name__)
AT = "/jobs/<name>@<int:version>"
LINEAGE_SECONDS = 60.0  # the histories of all endpoints are kept so long


@pages.get(AT)
def job(name: str, version: int) -> Response:
    facts = facts_of(job_address(name, version))
    series = series_of(facts)
    values: dict[str, Any] = {}
    if "HX-Request" not in request.headers:
        path = f"{request.script_root}{job_path(facts.address)}"
        values = log_values(log_of(facts), f"{path}/stream", seconds=last_at(series))
    sparks = {metric: polyline(points) for metric, points in series.items()}
    return page("job", facts=facts, sparks=sparks, scripts=("plots.js", "charts.js", "log.js"), **values)


@pages.get(f"{AT}.json")
def job_json(name: str, version: int) -> Response:
    """Its row of `sagespec status`, and what `sagespec history` says of it; each null where there is none."""
    facts = facts_of(job_address(name, version))
    return jsonify(
        {
            "status": facts.row.as_json() if facts.row else None,
            "history": manifest_as_json(facts.manifest) if facts.manifest else None,
            "served_by": [{"endpoint": s.endpoint, "variant": s.variant, "share": s.share} for s in facts.served_by],
            "revisions": [served.as_json() for served in facts.was_served_by],
        }
    )


@pages.get(f"{AT}/series.json")
def series_json(name: str, version: int) -> Response:
    series = series_of(facts_of(job_address(name, version)))
    return jsonify({"figures": figures_of(list(series)), "points": series})


@pages.get(f"{AT}/stream")
def job_stream(name: str, version: int) -> Response:
    facts = facts_of(job_address(name, version))
    return stream(log_of(facts), curve_of(facts))


@pages.get(f"{AT}/log")
def job_log(name: str, version: int) -> Response:
    return download(log_of(facts_of(job_address(name, version))), f"{name}-{version}")


@pages.post(f"{AT}/stop")
def stop(name: str, version: int) -> AnyResponse:
    address, project = job_address(name, version), desk().project
    who = visitor().name

    def work(report: Report) -> tuple[Problem, ...]:
        project.stop(address, reason=f"from the dashboard{f' by {who}' if who else ''}", report=report)
        return ()

    desk().deeds.begin(f"stop {address}", who, work)
    return redirect(f"{request.script_root}{job_path(address)}", 303)


@pages.post(f"{AT}/retry")
def retry(name: str, version: int) -> AnyResponse:
    address, project = job_address(name, version), desk().project

    def work(report: Report) -> tuple[Problem, ...]:
        return project.apply(Options(retry=True), only=[address], report=report, check=False).problems

    def starts(event: Event) -> bool:
        return (event.kind, event.action, event.about) == (EventKind.STARTED, RunJob.verb, str(address))

    desk().deeds.begin(f"retry {address}", visitor().name, work, starts=starts)
    return redirect(f"{request.script_root}{job_path(address)}", 303)


def facts_of(address: Address) -> Facts:
    """NotThere when there is no such job, in the specs or in the store."""
    at = desk()
    status = at.latest.seen().value
    row = _row(address, status)
    records = at.project.parts.records
    manifest = records.manifests([address]).get(address) if row is None or row.ended_at else None
    if row is None and manifest is None:
        raise NotThere(f"there is no {address}", fix="see the table of jobs")
    before = _before(address, at, status)
    of_before = records.manifests([before]).get(before) if before else None
    past = at.kept.get("histories", LINEAGE_SECONDS, lambda: histories(at.project.parts))
    now = row.hyperparameters if row else parameters_of(manifest)
    earlier = _row(before, status) if before else None
    then = earlier.hyperparameters if earlier else parameters_of(of_before) if before else None
    return Facts(
        address=address,
        row=row,
        manifest=manifest,
        before=before,
        parameters=compared(now, then),
        served_by=served_by(address, status),
        data=data_of(manifest, of_before),
        was_served_by=served_in(past, address),
        environment=at.project.parts.environment,
    )


def _row(address: Address, status: Status | None) -> JobState | None:
    return next((row for row in (status.jobs if status else ()) if row.address == address), None)


def _before(address: Address, at: Desk, status: Status | None) -> Address | None:
    """The newest earlier version that is known: in the specs, or else in the store."""
    in_specs = [row.address for row in (status.jobs if status else ())]
    for known in (in_specs, at.project.parts.records.all_jobs):
        found = known if isinstance(known, list) else known()
        earlier = [job for job in found if job.name == address.name and job.version < address.version]
        if earlier:
            return max(earlier)
    return None


def log_of(facts: Facts) -> Log:
    at, address = desk(), facts.address
    follows = facts.row is not None and is_under_way(facts.row)

    def source() -> Iterator[tuple[str, str]]:
        return at.project.logs(address, follow=follows)

    return at.logs.get(_name(facts), source, lambda: at.project.parts.scratch)


def curve_of(facts: Facts) -> Curve:
    at, address = desk(), facts.address
    follows = facts.row is not None and is_under_way(facts.row)
    return at.curves.get(_name(facts), lambda: at.project.series(address, follow=follows))


def series_of(facts: Facts) -> Series:
    """All points that there are now."""
    if facts.manifest is not None and not (facts.row and is_under_way(facts.row)):
        return facts.manifest.series
    return curve_of(facts).latest


def _name(facts: Facts) -> str:
    """Of its log and curves: another one when it is begun again, and once it has ended."""
    row, manifest = facts.row, facts.manifest
    if row and is_under_way(row):
        return f"{facts.address} begun {row.started_at}"
    return f"{facts.address} ended {manifest.ended_at if manifest else ''}"
