"""The rows of `sagespec status`: the specs compared with reality, and the runs at work."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sagespec.show.figures import metrics_text, milliseconds_text, percent_text, seconds_text
from sagespec.show.screen import Cell, Screen, hanging
from sagespec.show.side_by_side import write_versions

if TYPE_CHECKING:
    from sagespec.state.manifest import ChannelRead
    from sagespec.verbs.states import EndpointState, JobState, RunState, Status, VariantState

# By the words of `verbs.states`, which is not imported here: `sagespec version` shows something, too.
JOB_TONES = {
    "trained": "good",
    "preparing": "change",
    "running": "change",
    "ended": "change",
    "waiting": "change",
    "failed": "bad",
    "stopped": "bad",
    "refused": "bad",
}
ENDPOINT_TONES = {
    "serving": "good",
    "pending": "change",
    "waiting": "change",
    "orphaned": "change",
    "elsewhere": "bad",
    "degraded": "bad",
    "blocked": "bad",
}
MOST_WAITS = 3  # of a run in its row; JSON has all


def write_status(screen: Screen, status: Status, *, in_place: bool = False) -> None:
    """Jobs and endpoints, the specs compared with reality; then the runs. in_place: in place of what was there."""
    if in_place and screen.live:
        screen.clear()
    if screen.format == "json":
        screen.document(status.as_json())
        return
    gateway = f"gateway {status.gateway}" if status.gateway else "gateway not running"
    about = f"runtime {status.runtime}; store {status.store}; {gateway}"
    screen.line((hanging(about, 0, screen.width), "dim"))
    if status.jobs:
        screen.line()
        screen.table([_job_row(job, status.at) for job in status.jobs], head=("JOB", "STATE", "TOOK", "METRICS"))
        write_versions(screen, status.jobs)
    for endpoint in status.endpoints:
        _write_endpoint(screen, endpoint)
    if not status.jobs and not status.endpoints:
        screen.line("\nno jobs and no endpoints: add a spec to specs/, or begin with `sagespec init`")
    if status.runs:
        screen.line()
        head = ("RUN", "FOR", "LAST PASS", "LOOKS AGAIN", "WAITS FOR")
        screen.table([_run_row(run, status.at) for run in status.runs], head=head)


def _job_row(job: JobState, now: datetime) -> list[Cell]:
    seconds = job.seconds
    if seconds is None and job.started_at:
        seconds = _since(job.started_at, now)
    took = "" if seconds is None else seconds_text(seconds)
    follower = job.follower
    followed = f"followed by {follower.who} for {seconds_text(_since(follower.since, now))}" if follower else ""
    read = ", ".join(f"{name} {_size_text(read)}" for name, read in job.read.items())
    notes = [f"note: {note}" for channel in job.read.values() for note in channel.notes]
    said = (
        *(metrics_text(job.metrics or {}), job.detail.split("\n")[0], followed, f"read {read}" if read else ""),
        *notes,
    )
    return [str(job.address), (job.state, JOB_TONES[job.state]), took, "; ".join(part for part in said if part)]


def _size_text(read: ChannelRead) -> str:
    """How much was read; the names of columns are in the job's log."""
    return f"{read.rows:,} rows" + ("" if read.features is None else f" ({read.features:,} features)")


def _run_row(run: RunState, now: datetime) -> list[Cell]:
    ended = f"{seconds_text(_since(run.last_pass_at, now))} ago" if run.last_pass_at else "-"
    took = f" ({milliseconds_text(run.last_pass_seconds * 1000)})" if run.last_pass_seconds is not None else ""
    return [
        f"{run.who.removeprefix('sagespec ')} (pid {run.pid})",
        seconds_text(_since(run.since, now)),
        ended + took,
        _looks_again(run, now),
        ", ".join(_waits_for(run)) or "-",
    ]


def _waits_for(run: RunState) -> list[str]:
    more = len(run.waits_for) - MOST_WAITS
    waits = [*run.waits_for[:MOST_WAITS], *([f"{more} more"] if more > 0 else [])]
    if len(run.queued) > 1:
        return [*waits, f"the turns of {len(run.queued)} jobs"]
    return [*waits, *(f"the turn of {about}" for about in run.queued)]


def _looks_again(run: RunState, now: datetime) -> Cell:
    """What a run says of itself is some seconds old, so a time that has just passed tells nothing."""
    if run.looks_again_at is None:
        return "-"
    if run.is_late:
        return (f"late by {seconds_text(_since(run.looks_again_at, now))}", "change")
    return f"in {seconds_text(_since(now, run.looks_again_at))}" if run.looks_again_at > now else "-"


def _since(then: datetime, now: datetime) -> float:
    """Seconds; the clocks of two machines may differ a little."""
    return max(0.0, (now - then).total_seconds())


def _write_endpoint(screen: Screen, endpoint: EndpointState) -> None:
    none = f"no revision is live, the newest was {endpoint.newest_revision}" if endpoint.newest_revision else ""
    revision = f"revision {endpoint.revision}" if endpoint.revision else none or "no revision yet"
    state = (endpoint.state, ENDPOINT_TONES[endpoint.state])
    screen.line("\n", (str(endpoint.address), "bold"), "  ", state, "  ", f"{revision}  ", (endpoint.url, "name"))
    if endpoint.detail:
        screen.line("  ", (endpoint.detail, ENDPOINT_TONES[endpoint.state]))
    head = ("VARIANT", "MODEL", "WEIGHT", "HEALTHY", "REQUESTS", "ERRORS", "P50", "P99")
    screen.table([_variant_row(variant, endpoint) for variant in endpoint.variants], head=head, indent="  ")


def _variant_row(variant: VariantState, endpoint: EndpointState) -> list[Cell]:
    same = abs(variant.share_asked - variant.share_live) < 0.0005
    instances = variant.instances_live or variant.instances_asked
    fewer = "change" if endpoint.state == "pending" else "bad"
    return [
        variant.name,
        _beside(variant.model or "-", variant.model_asked or "none", is_same=variant.model == variant.model_asked),
        _beside(percent_text(variant.share_live), percent_text(variant.share_asked), is_same=same),
        _beside(
            f"{variant.instances_healthy}/{instances}",
            str(variant.instances_asked),
            is_same=instances == variant.instances_asked,
            tone=fewer if variant.instances_healthy < instances else "good",
        ),
        f"{variant.requests:,}",
        (f"{variant.errors:,}", "bad" if variant.errors else ""),
        milliseconds_text(variant.p50_ms),
        milliseconds_text(variant.p99_ms),
    ]


def _beside(live: str, asked: str, *, is_same: bool, tone: str = "") -> Cell:
    """What is, and beside it what is asked for where that is another."""
    return (live, tone) if is_same else (f"{live} (asked {asked})", tone if tone == "bad" else "change")
