"""The rows of `sagespec status`: the specs compared with reality, and the runs at work."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sagespec.show.figures import metrics_text, milliseconds_text, percent_text, seconds_text, when_text
from sagespec.show.gc import MARKS_HEAD, marks_rows
from sagespec.show.rollouts import rolling_text
from sagespec.show.screen import Cell, Screen, hanging
from sagespec.show.side_by_side import write_versions
from sagespec.show.source import source_rows
from sagespec.show.suspended import suspended_rows

if TYPE_CHECKING:
    from sagespec.state.manifest import ChannelRead
    from sagespec.state.undelivered import Undelivered
    from sagespec.verbs.notebook_states import NotebookState
    from sagespec.verbs.states import EndpointState, JobState, LastMinute, RunState, Status, VariantState

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
    "rolling": "change",
    "waiting": "change",
    "orphaned": "change",
    "elsewhere": "bad",
    "degraded": "bad",
    "flapping": "bad",
    "blocked": "bad",
}
NOTEBOOK_TONES = {
    "running": "good",
    "pending": "change",
    "orphaned": "change",
    "dead": "bad",
    "refused": "bad",
}
NOTEBOOK_HEAD = ("NOTEBOOK", "STATE", "URL", "")
JOB_HEAD = ("JOB", "STATE", "TOOK", "METRICS")
RUN_HEAD = ("RUN", "FOR", "LAST PASS", "LOOKS AGAIN", "WAITS FOR")
NOTHING_THERE = "no jobs and no endpoints: add a spec to specs/, or begin with `sagespec init`"
MOST_WAITS = 3  # of a run in its row; JSON has all


def write_status(screen: Screen, status: Status, *, in_place: bool = False) -> None:
    """Jobs and endpoints, the specs compared with reality; then the runs. in_place: in place of what was there."""
    if in_place and screen.live:
        screen.clear()
    if screen.format == "json":
        screen.document(status.as_json())
        return
    screen.line((hanging(about_text(status), 0, screen.width), "dim"))
    if status.source:
        screen.line()
        screen.table(source_rows(status.source))
    if status.suspended:
        screen.line()
        screen.table(suspended_rows(status.suspended))
    if status.jobs:
        screen.line()
        screen.table([job_row(job, status.at) for job in status.jobs], head=JOB_HEAD)
        write_versions(screen, status.jobs)
    for endpoint in status.endpoints:
        write_endpoint(screen, endpoint)
    if status.notebooks:
        screen.line()
        screen.table([notebook_row(notebook) for notebook in status.notebooks], head=NOTEBOOK_HEAD)
    if not status.jobs and not status.endpoints and not status.notebooks:
        screen.line(f"\n{NOTHING_THERE}")
    if status.gc.jobs or status.gc.swept:
        screen.line()
        screen.table(marks_rows(status.gc, status.at), head=MARKS_HEAD)
    if status.runs:
        screen.line()
        screen.table([run_row(run, status.at) for run in status.runs], head=RUN_HEAD)
        for one in (one for run in status.runs for one in run.undelivered):
            screen.line(("messages  ", "bad"), undelivered_text(one))


def about_text(status: Status) -> str:
    """Where it was looked."""
    gateway = f"gateway {status.gateway}" if status.gateway else "gateway not running"
    doors = status.doors.parts if status.doors else ()
    named = [f"environment {status.environment}"] if status.environment else []
    return "; ".join([*named, f"runtime {status.runtime}", f"store {status.store}", gateway, *doors])


def job_row(job: JobState, now: datetime) -> list[Cell]:
    seconds = job.seconds
    if seconds is None and job.started_at:
        seconds = _since(job.started_at, now)
    took = "" if seconds is None else seconds_text(seconds)
    follower = job.follower
    followed = f"followed by {follower.who} for {seconds_text(_since(follower.since, now))}" if follower else ""
    read = ", ".join(f"{name} {_size_text(read)}" for name, read in job.read.items())
    notes = [f"note: {note}" for channel in job.read.values() for note in channel.notes]
    where = f"on {', '.join(job.nodes)}" if job.nodes else ""
    said = (
        *(metrics_text(job.metrics or {}), job.detail.split("\n")[0], where, followed, f"read {read}" if read else ""),
        *notes,
    )
    return [str(job.address), (job.state, JOB_TONES[job.state]), took, "; ".join(part for part in said if part)]


def _size_text(read: ChannelRead) -> str:
    """How much was read; the names of columns are in the job's log."""
    return f"{read.rows:,} rows" + ("" if read.features is None else f" ({read.features:,} features)")


def undelivered_text(one: Undelivered) -> str:
    """'to slack do not arrive since 2026-12-01 13:00 UTC: answered 404; 2 wait, 3 were given up'."""
    counts = f"{one.waiting} wait, {one.dropped} {'was' if one.dropped == 1 else 'were'} given up"
    return f"to {one.to} do not arrive since {when_text(one.since)}: {one.why}; {counts}"


def notebook_row(notebook: NotebookState) -> list[Cell]:
    state = (notebook.state, NOTEBOOK_TONES.get(notebook.state, ""))
    return [str(notebook.address), state, (notebook.url, "name"), notebook.detail]


def run_row(run: RunState, now: datetime) -> list[Cell]:
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


def write_endpoint(screen: Screen, endpoint: EndpointState) -> None:
    state = (endpoint.state, ENDPOINT_TONES[endpoint.state])
    revision = f"{revision_text(endpoint)}  "
    screen.line("\n", (str(endpoint.address), "bold"), "  ", state, "  ", revision, (endpoint.url, "name"))
    if endpoint.detail:
        screen.line("  ", (endpoint.detail, ENDPOINT_TONES[endpoint.state]))
    if endpoint.key:
        screen.line("  ", (key_text(endpoint.key), "dim"))
    if rolling := endpoint.rolling:
        text = f"revision {rolling.number}, {rolling_text(rolling, datetime.now(UTC))}"
        screen.line("  ", ("rolling  ", "change"), hanging(text, 11, screen.width))
    screen.table(variant_rows(endpoint), head=variant_head(endpoint), indent="  ")
    for variant in endpoint.variants:
        if variant.acceleration:
            tone = "change" if variant.acceleration.is_on is False else "dim"
            said = hanging(f"{variant.name}: {variant.acceleration}", 2, screen.width, indent=4)
            screen.line("  ", (said, tone))


def key_text(key: str) -> str:
    return f"callers keep their variant, by {key}"


def revision_text(endpoint: EndpointState) -> str:
    """Which revision is live."""
    none = f"no revision is live, the newest was {endpoint.newest_revision}" if endpoint.newest_revision else ""
    return f"revision {endpoint.revision}" if endpoint.revision else none or "no revision yet"


def variant_head(endpoint: EndpointState) -> tuple[str, ...]:
    times = ("LAST MINUTE",) if _is_watched(endpoint) else ("P50", "P99")
    return (
        "VARIANT",
        "MODEL",
        "WEIGHT",
        "HEALTHY",
        "REQUESTS",
        "ERRORS",
        *times,
        *(["NODES"] if _nodes(endpoint) else []),
    )


def variant_rows(endpoint: EndpointState) -> list[list[Cell]]:
    """A row for each variant, with the figures of its last minute where they are recorded."""
    return [_variant_row(variant, endpoint, watched=_is_watched(endpoint)) for variant in endpoint.variants]


def _is_watched(endpoint: EndpointState) -> bool:
    return any(variant.last_minute for variant in endpoint.variants)


def _nodes(endpoint: EndpointState) -> bool:
    """Whether the engine has several machines."""
    return any(variant.nodes for variant in endpoint.variants)


def _variant_row(variant: VariantState, endpoint: EndpointState, *, watched: bool) -> list[Cell]:
    instances = variant.instances_live or variant.instances_asked
    fewer = "change" if endpoint.state == "pending" else "bad"
    return [
        variant.name,
        _beside(variant.model or "-", variant.model_asked or "none", is_same=variant.model == variant.model_asked),
        _share(variant),
        _beside(
            f"{variant.instances_healthy}/{instances}",
            str(variant.instances_asked),
            is_same=instances == variant.instances_asked or endpoint.rolling is not None,
            tone=fewer if variant.instances_healthy < instances else "good",
        ),
        f"{variant.requests:,}",
        (f"{variant.errors:,}", "bad" if variant.errors else ""),
        *([_minute(variant.last_minute)] if watched else map(milliseconds_text, (variant.p50_ms, variant.p99_ms))),
        *([", ".join(variant.nodes) or "-"] if _nodes(endpoint) else []),
    ]


def variant_cells(variant: VariantState) -> list[Cell]:
    """A variant in one line."""
    instances = variant.instances_live or variant.instances_asked
    errors = "1 error" if variant.errors == 1 else f"{variant.errors:,} errors"
    times = map(milliseconds_text, (variant.p50_ms, variant.p99_ms))
    return [
        f"{variant.name}: ",
        _beside(variant.model or "-", variant.model_asked or "none", is_same=variant.model == variant.model_asked),
        ", ",
        _share(variant),
        f", {variant.instances_healthy}/{instances} healthy, {variant.requests:,} requests, ",
        (errors, "bad" if variant.errors else ""),
        ", p50 {}, p99 {}".format(*times) if variant.p50_ms is not None else "",
    ]


def _share(variant: VariantState) -> Cell:
    same = abs(variant.share_asked - variant.share_live) < 0.0005
    return _beside(percent_text(variant.share_live), percent_text(variant.share_asked), is_same=same)


def _minute(minute: LastMinute | None) -> Cell:
    if minute is None:
        return "-"
    if not minute.requests and not minute.errors:
        return "no requests"
    rate = f"{minute.requests / minute.seconds:.3g}/s" if minute.seconds else f"{minute.requests} requests"
    failed = f", {minute.errors:,} errors" if minute.errors else ""
    times = f", p50 {milliseconds_text(minute.p50_ms)}, p99 {milliseconds_text(minute.p99_ms)}"
    return (f"{rate}{failed}{times}", "bad" if minute.errors else "")


def _beside(live: str, asked: str, *, is_same: bool, tone: str = "") -> Cell:
    """What is, and beside it what is asked for where that is another."""
    return (live, tone) if is_same else (f"{live} (asked {asked})", tone if tone == "bad" else "change")
