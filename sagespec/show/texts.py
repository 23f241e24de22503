"""Values as text: what the command line prints of them, less what would be too long at a prompt."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from functools import singledispatch

from sagespec.converge import Converged
from sagespec.events import Result
from sagespec.plan import Plan
from sagespec.show.compare import write_comparison
from sagespec.show.diff import write_diff
from sagespec.show.ending import ending_cell
from sagespec.show.figures import counted, seconds_text
from sagespec.show.gc import write_collected, write_images_collected
from sagespec.show.history import MANIFEST_HEAD, NO_HISTORY, details_of, manifest_row, revision_head, revision_rows
from sagespec.show.jobs_compared import write_jobs_compared
from sagespec.show.lineage import write_lineage
from sagespec.show.lists import write_validated
from sagespec.show.plan import write_changes, write_refused_and_notes, write_versions
from sagespec.show.screen import Cell, Screen, clean
from sagespec.show.status import RUN_HEAD, job_row, run_row, variant_cells, write_endpoint, write_status
from sagespec.show.verbs import counts_text
from sagespec.state.manifest import Manifest
from sagespec.state.secrets import is_secret_field
from sagespec.verbs.answers import Answer
from sagespec.verbs.compare import Comparison
from sagespec.verbs.diff import Difference
from sagespec.verbs.gc import Collected
from sagespec.verbs.gc_images import ImagesCollected
from sagespec.verbs.history import Recorded, Revisions
from sagespec.verbs.jobs_compared import JobsCompared
from sagespec.verbs.metrics import Metrics
from sagespec.verbs.plan import Validated
from sagespec.verbs.states import EndpointState, JobState, RunState, Status, VariantState
from sagespec.verbs.traces import Lineage

MOST_ROWS = 50
LONGEST_BODY = 2000  # letters of an answer


def text_of(value: object) -> str | None:
    """None for what is not known here."""
    write = _written.dispatch(type(value))
    if write is _written.dispatch(object):
        return None
    out = io.StringIO()
    _written(value, Screen(out=out, width=_width()))
    return out.getvalue().strip("\n")


def _width() -> int | None:
    """Of the terminal, if there is one to read on."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


@singledispatch
def _written(value: object, screen: Screen) -> None:
    raise NotImplementedError(type(value))


@_written.register
def _(plan: Plan, screen: Screen) -> None:
    shown = replace(plan, actions=plan.actions[:MOST_ROWS], running=plan.running[:MOST_ROWS])
    write_changes(screen, shown)
    write_versions(screen, shown)
    _write_left_out(screen, len(plan.actions) + len(plan.running) - len(shown.actions) - len(shown.running), "actions")
    write_refused_and_notes(screen, plan.refused[:MOST_ROWS], plan.notes[:MOST_ROWS])
    _write_left_out(screen, len(plan.refused) - MOST_ROWS, "refused")
    screen.line("\n" if shown.actions or plan.refused or plan.notes else "", counts_text(plan))


@_written.register
def _(converged: Converged, screen: Screen) -> None:
    plan = converged.plan
    shown = [outcome for outcome in converged.outcomes if outcome.result is not Result.CANCELLED]
    rows = [[one.result.value, one.verb, one.about, seconds_text(one.seconds)] for one in shown[:MOST_ROWS]]
    screen.table(rows)
    _write_left_out(screen, len(shown) - MOST_ROWS, "actions")
    write_refused_and_notes(screen, converged.problems[:MOST_ROWS], plan.notes[:MOST_ROWS])
    _write_left_out(screen, len(converged.problems) - MOST_ROWS, "problems")
    screen.line("\n" if rows else "", ending_cell(converged))


@_written.register
def _(status: Status, screen: Screen) -> None:
    jobs, endpoints = worst_first(status, MOST_ROWS)
    write_status(screen, replace(status, jobs=jobs[:MOST_ROWS], endpoints=endpoints[:MOST_ROWS]))
    _write_left_out(screen, len(jobs) - MOST_ROWS, "jobs")
    _write_left_out(screen, len(endpoints) - MOST_ROWS, "endpoints")


def worst_first(status: Status, most: int) -> tuple[tuple[JobState, ...], tuple[EndpointState, ...]]:
    """What is shown of many is what is not as it should be."""
    jobs, endpoints = status.jobs, status.endpoints
    if len(jobs) > most:
        jobs = tuple(sorted(jobs, key=lambda job: job.state == "trained"))
    if len(endpoints) > most:
        endpoints = tuple(sorted(endpoints, key=lambda endpoint: endpoint.state == "serving"))
    return jobs, endpoints


@_written.register
def _(job: JobState, screen: Screen) -> None:
    from datetime import UTC, datetime

    screen.table([job_row(job, datetime.now(UTC))])


@_written.register
def _(endpoint: EndpointState, screen: Screen) -> None:
    write_endpoint(screen, endpoint)


@_written.register
def _(variant: VariantState, screen: Screen) -> None:
    """One line, as variants come in tuples."""
    screen.line(*variant_cells(variant))


@_written.register
def _(run: RunState, screen: Screen) -> None:
    screen.table([run_row(run, run.renewed_at)], head=RUN_HEAD)


@_written.register
def _(revisions: Revisions, screen: Screen) -> None:
    _write_left_out(screen, len(revisions) - MOST_ROWS, "earlier revisions")
    screen.table(revision_rows(revisions)[-MOST_ROWS:], head=revision_head(revisions))


@_written.register
def _(found: Recorded, screen: Screen) -> None:
    for address, revisions in list(found.revisions.items())[:MOST_ROWS]:
        screen.line((str(address), "bold"))
        screen.table(revision_rows(revisions)[-MOST_ROWS:], head=revision_head(revisions), indent="  ")
        _write_left_out(screen, len(revisions) - MOST_ROWS, "earlier revisions")
        screen.line()
    _write_left_out(screen, len(found.revisions) - MOST_ROWS, "endpoints")
    if found.manifests:
        screen.table([manifest_row(one) for one in found.manifests[-MOST_ROWS:]], head=MANIFEST_HEAD)
        _write_left_out(screen, len(found.manifests) - MOST_ROWS, "earlier jobs")
    if not found.manifests and not found.revisions:
        screen.line(NO_HISTORY)


@_written.register
def _(manifest: Manifest, screen: Screen) -> None:
    screen.table([manifest_row(manifest)], head=MANIFEST_HEAD)
    screen.line()
    screen.table(details_of(without_secrets(manifest)), indent="  ")


def without_secrets(manifest: Manifest) -> Manifest:
    """With hyperparameters that may be shown."""
    given = manifest.spec.get("hyperparameters") or {}
    shown = {
        name: "(secret)" if is_secret_field(f"hyperparameters.{name}", str(value)) else value
        for name, value in given.items()
    }
    return manifest.model_copy(update={"spec": {**manifest.spec, "hyperparameters": shown}})


@_written.register
def _(answer: Answer, screen: Screen) -> None:
    behind = f" from {answer.variant}" if answer.variant else ""
    screen.line((f"{answer.status} {answer.content_type}{behind}", "dim" if answer.ok else "bad"))
    screen.line(body_text(answer))


def body_text(answer: Answer) -> str:
    """What can be read of the body, its beginning if it is long."""
    text = answer.text[:LONGEST_BODY].rstrip("\n")
    if "\ufffd" in text or not clean(text).strip():
        return f"({counted(len(answer.body), 'byte')})"
    more = len(answer.text) - LONGEST_BODY
    return f"{text}… {counted(more, 'more letter')}" if more > 0 else text


@_written.register
def _(metrics: Metrics, screen: Screen) -> None:
    rows: list[list[Cell]] = []
    for name, points in list(metrics.items())[:MOST_ROWS]:
        values = [value for _, value in points]
        figures = [f"{one:.6g}" for one in (values[-1], min(values), max(values))] if values else ["-"] * 3
        rows.append([name, *figures, f"{len(points):,}"])
    screen.table(rows, head=("METRIC", "LAST", "LEAST", "MOST", "POINTS"))
    _write_left_out(screen, len(metrics) - MOST_ROWS, "metrics")
    if not metrics:
        screen.line("no metrics yet")


@_written.register
def _(found: Validated, screen: Screen) -> None:
    write_validated(screen, found)


def _write_left_out(screen: Screen, count: int, unit: str) -> None:
    if count > 0:
        screen.line((f"… and {count:,} more {unit}", "dim"))


@_written.register
def _(found: Comparison, screen: Screen) -> None:
    write_comparison(screen, found)


@_written.register
def _(found: JobsCompared, screen: Screen) -> None:
    write_jobs_compared(screen, found)


@_written.register
def _(found: Lineage, screen: Screen) -> None:
    write_lineage(screen, found)


@_written.register
def _(found: Difference, screen: Screen) -> None:
    write_diff(screen, found)


@_written.register
def _(found: Collected, screen: Screen) -> None:
    write_collected(screen, found)


@_written.register
def _(found: ImagesCollected, screen: Screen) -> None:
    write_images_collected(screen, found)
