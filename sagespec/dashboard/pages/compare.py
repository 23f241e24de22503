"""Jobs side by side: their curves over each other, and the metrics, hyperparameters and data in which they differ."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from sagespec.dashboard.pages.facts import Facts
from sagespec.dashboard.pages.job import facts_of, series_of
from sagespec.dashboard.rendering import NotThere, page
from sagespec.state.addresses import Address
from sagespec.verbs.differences import differing_first, parameters_of, rows_of

pages = Blueprint("compare", __name__)

MOST = 8


def asked_for() -> list[Facts]:
    """The jobs that the address names, each once."""
    names = list(dict.fromkeys(request.args.getlist("j")))
    if len(names) > MOST:
        raise NotThere(f"{len(names)} jobs are too many to compare", fix=f"choose at most {MOST}")
    return [facts_of(_address(name)) for name in names]


def _address(name: str) -> Address:
    try:
        return Address.parse(f"job/{name.removeprefix('job/')}")
    except ValueError:
        raise NotThere(f"{name[:80]} names no job", fix="name jobs as churn@3") from None


@pages.get("/jobs/compare")
def compare() -> Response:
    jobs = asked_for()
    return page(
        "compare",
        jobs=jobs,
        metrics=rows_of([job.metrics for job in jobs]),
        parameters=differing_first(rows_of([_parameters(job) for job in jobs])),
        data=rows_of([{row["channel"]: row["fingerprint"][:16] for row in job.data} for job in jobs]),
        over="step" if request.args.get("over") == "step" else "seconds",
        scripts=("plots.js", "charts.js"),
    )


def _parameters(job: Facts) -> dict[str, str]:
    return dict(job.row.hyperparameters if job.row else parameters_of(job.manifest))


@pages.get("/jobs/compare.json")
def compare_json() -> Response:
    jobs = asked_for()
    return jsonify(
        {
            "jobs": [
                {"address": str(job.address), "metrics": dict(job.metrics), "hyperparameters": _parameters(job)}
                for job in jobs
            ]
        }
    )


@pages.get("/jobs/compare/series.json")
def compare_series() -> Response:
    """A figure for each metric, in which each job is a curve."""
    over_steps = request.args.get("over") == "step"
    figures: dict[str, dict[str, list[str]]] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    for job in asked_for():
        label = f"{job.address.name}@{job.address.version}"
        for metric, found in series_of(job).items():
            name = f"{label} {metric}"
            points[name] = [(number if over_steps else at, value) for number, (at, value) in enumerate(found)]
            figure = figures.setdefault(metric, {"series": [], "labels": []})
            figure["series"].append(name)
            figure["labels"].append(label)
    x = "step" if over_steps else "seconds"
    return jsonify({"figures": [{"title": title, "x": x, **one} for title, one in figures.items()], "points": points})
