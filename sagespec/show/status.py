"""The rows of `sagespec status`: the specs compared with reality."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sagespec.show.figures import metrics_text, milliseconds_text, percent_text, seconds_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.verbs.states import EndpointState, JobState, Status, VariantState

# By the words of `verbs.states`, which is not imported here: `sagespec version` shows something, too.
JOB_TONES = {
    "trained": "good",
    "running": "change",
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
    "degraded": "bad",
    "blocked": "bad",
}


def write_status(screen: Screen, status: Status, *, in_place: bool = False) -> None:
    """Jobs and endpoints, the specs compared with reality. in_place: replaces what is on the terminal."""
    if in_place and screen.live:
        screen.clear()
    if screen.format == "json":
        screen.document(status.as_json())
        return
    gateway = f"gateway {status.gateway}" if status.gateway else "gateway not running"
    screen.line((f"runtime {status.runtime}; store {status.store}; {gateway}", "dim"))
    if status.jobs:
        screen.line()
        screen.table([_job_row(job) for job in status.jobs], head=("JOB", "STATE", "TOOK", "METRICS"))
    for endpoint in status.endpoints:
        _write_endpoint(screen, endpoint)
    if not status.jobs and not status.endpoints:
        screen.line("\nno jobs and no endpoints: add a spec to specs/, or begin with `sagespec init`")


def _job_row(job: JobState) -> list[Cell]:
    shown = metrics_text(job.metrics or {})
    seconds = job.seconds
    if job.state == "running" and job.ended_at:
        seconds = (datetime.now(UTC) - job.ended_at).total_seconds()
    took = "" if seconds is None else seconds_text(seconds)
    detail = job.detail.split("\n")[0]
    return [str(job.address), (job.state, JOB_TONES[job.state]), took, "; ".join(p for p in (shown, detail) if p)]


def _write_endpoint(screen: Screen, endpoint: EndpointState) -> None:
    revision = f"revision {endpoint.revision}" if endpoint.revision else "no revision yet"
    state = (endpoint.state, ENDPOINT_TONES[endpoint.state])
    screen.line("\n", (str(endpoint.address), "bold"), "  ", state, "  ", f"{revision}  ", (endpoint.url, "name"))
    if endpoint.detail:
        screen.line("  ", (endpoint.detail, "bad"))
    head = ("VARIANT", "MODEL", "WEIGHT", "HEALTHY", "REQUESTS", "ERRORS", "P50", "P99")
    screen.table([_variant_row(variant) for variant in endpoint.variants], head=head, indent="  ")


def _variant_row(variant: VariantState) -> list[Cell]:
    same = abs(variant.share_asked - variant.share_live) < 0.0005
    weight = percent_text(variant.share_live) + ("" if same else f" (asked {percent_text(variant.share_asked)})")
    healthy = f"{variant.instances_healthy}/{variant.instances_asked}"
    return [
        variant.name,
        variant.model or "-",
        (weight, "" if same else "change"),
        (healthy, "bad" if variant.instances_healthy < variant.instances_asked else "good"),
        f"{variant.requests:,}",
        (f"{variant.errors:,}", "bad" if variant.errors else ""),
        milliseconds_text(variant.p50_ms),
        milliseconds_text(variant.p99_ms),
    ]
