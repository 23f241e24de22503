"""The first page: what is wrong first, then endpoints, what trains, what waits, and specs that git does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify

from sagespec.dashboard.curves import spark_of
from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.wrong import Wrong, is_under_way, newest_first, troubled_first, wrong_of
from sagespec.dashboard.rendering import page
from sagespec.verbs.metrics import Series
from sagespec.verbs.states import EndpointState, JobState, JobWord, Status

pages = Blueprint("home", __name__)

MOST_WRONG = 30
MOST_ENDPOINTS = 30
MOST_JOBS = 15
MOST_SPARKS = 8  # each is followed by a thread


@dataclass(frozen=True)
class Overview:
    """The first rows of each part, and how many there are in all."""

    wrong: Sequence[Wrong]
    endpoints: Sequence[EndpointState]
    under_way: Sequence[JobState]
    waiting: Sequence[JobState]
    ended: Sequence[JobState]
    trained: int


def overview_of(status: Status) -> Overview:
    wrong = wrong_of(status)
    jobs = sorted(status.jobs, key=newest_first, reverse=True)
    return Overview(
        wrong=wrong,
        endpoints=troubled_first(status.endpoints, wrong),
        under_way=[job for job in jobs if is_under_way(job)],
        waiting=[job for job in jobs if job.state is JobWord.WAITING],
        ended=[job for job in jobs if job.ended_at and not is_under_way(job)],
        trained=sum(job.state is JobWord.TRAINED for job in jobs),
    )


@pages.get("/")
def home() -> Response:
    status = desk().latest.seen().value
    found = overview_of(status) if status else None
    most = {"wrong": MOST_WRONG, "endpoints": MOST_ENDPOINTS, "jobs": MOST_JOBS}
    sparks = {job.address: spark_of(live_series(job)) for job in found.under_way[:MOST_SPARKS]} if found else {}
    uncommitted = desk().uncommitted.last().value or ()
    return page("home", found=found, most=most, sparks=sparks, uncommitted=uncommitted)


def live_series(job: JobState) -> Series:
    """What a job that is under way has printed so far, by the thread that follows it for all pages."""
    at, address = desk(), job.address
    return at.curves.get(f"{address} begun {job.started_at}", lambda: at.project.series(address, follow=True)).latest


@pages.get("/status.json")
def status_json() -> Response:
    """What `sagespec status --output json` says."""
    return jsonify(current().as_json())


def current() -> Status:
    """The last look; SagespecError where there is none."""
    return desk().latest.seen().known()
