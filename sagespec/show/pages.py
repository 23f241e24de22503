"""Values as objects of a notebook: the rows of the command line as tables, with bars and curves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import singledispatch

from sagespec.converge import Converged
from sagespec.errors import Problem
from sagespec.events import Outcome, Result
from sagespec.ongoing import Rolling
from sagespec.plan import Plan
from sagespec.show.compare import comparison_head, comparison_rows, footer, verdict_cells
from sagespec.show.ending import ending_cell
from sagespec.show.figures import counted, seconds_text
from sagespec.show.gc import MARKS_HEAD, marks_rows
from sagespec.show.history import MANIFEST_HEAD, NO_HISTORY, details_of, manifest_row, revision_head, revision_rows
from sagespec.show.html import Html, curves, element, fitted, folded, joined, left_out, page, problems, split_bar, table
from sagespec.show.jobs_compared import names_of, tables_of
from sagespec.show.lineage import rows_of
from sagespec.show.plan import action_row, running_row
from sagespec.show.rollouts import rolling_row, rolling_text, sides_of
from sagespec.show.screen import Cell
from sagespec.show.status import (
    ENDPOINT_TONES,
    JOB_HEAD,
    NOTEBOOK_HEAD,
    NOTHING_THERE,
    RUN_HEAD,
    about_text,
    job_row,
    key_text,
    notebook_row,
    revision_text,
    run_row,
    variant_head,
    variant_rows,
)
from sagespec.show.suspended import suspended_rows
from sagespec.show.texts import body_text, without_secrets, worst_first
from sagespec.show.verbs import counts_text
from sagespec.state.manifest import Manifest
from sagespec.verbs.answers import Answer
from sagespec.verbs.compare import Comparison
from sagespec.verbs.history import Recorded, Revisions
from sagespec.verbs.jobs_compared import JobsCompared
from sagespec.verbs.metrics import Metrics
from sagespec.verbs.plan import Validated
from sagespec.verbs.states import EndpointState, JobState, RunState, Status
from sagespec.verbs.traces import Lineage

MOST = 200  # rows of a kind, if they fit
ACTION_HEAD = ("ACTION", "OF", "WHY")
OUTCOME_HEAD = ("RESULT", "ACTION", "OF", "TOOK")
_RESULT_TONES = {Result.DONE: "good", Result.FAILED: "bad", Result.SKIPPED: "change", Result.CANCELLED: "change"}


def page_of(value: object) -> str | None:
    """None for what is not known here."""
    if _drawn.dispatch(type(value)) is _drawn.dispatch(object):
        return None
    return str(fitted(lambda most: page(*_drawn(value, most)), MOST))


@singledispatch
def _drawn(value: object, _most: int) -> list[Html]:
    """The pieces of a page, with `most` rows of a kind."""
    raise NotImplementedError(type(value))


def line(*cells: Cell) -> Html:
    """A line of texts with tones."""
    return element("p", *(element("span", cell[0], cls=cell[1]) if isinstance(cell, tuple) else cell for cell in cells))


def notes_of(notes: Sequence[str], most: int) -> Html:
    return joined([*(line(("note ", "change"), note) for note in notes[:most]), left_out(len(notes) - most, "notes")])


@_drawn.register
def _(plan: Plan, most: int) -> list[Html]:
    others = [*map(running_row, plan.running), *map(rolling_row, plan.rolling), *suspended_rows(plan.suspended)]
    rows = [*map(action_row, plan.actions[:most]), *others[:most]]
    count = len(plan.actions) + len(others)
    return [
        line((counts_text(plan), "bad" if plan.refused else "bold")),
        problems(plan.refused, most=most),
        table(ACTION_HEAD, rows) if rows else Html(),
        left_out(count - len(rows), "actions"),
        *(line(("version ", "change"), version.text) for version in plan.versions[:most]),
        *(line(("stale ", "change"), f"{one.about}: {one.text}") for one in plan.stale[:most]),
        notes_of(plan.notes, most),
    ]


@_drawn.register
def _(converged: Converged, most: int) -> list[Html]:
    outcomes, count = converged.outcomes, counted(len(converged.outcomes), "action")
    did = table(OUTCOME_HEAD, [outcome_row(one) for one in outcomes[:most]])
    return [
        line(ending_cell(converged)),
        problems(converged.problems, most=most),
        folded(count, did, left_out(len(outcomes) - most, "actions")) if outcomes else Html(),
        notes_of(converged.plan.notes, most),
    ]


def outcome_row(outcome: Outcome) -> list[Cell]:
    tone = _RESULT_TONES[outcome.result]
    return [(outcome.result.value, tone), outcome.verb, outcome.about, seconds_text(outcome.seconds)]


@_drawn.register
def _(problem: Problem, _most: int) -> list[Html]:
    return [problems([problem])]


@_drawn.register
def _(status: Status, most: int) -> list[Html]:
    jobs, endpoints = worst_first(status, most)
    parts = [line((about_text(status), "dim"))]
    if jobs:
        parts.append(table(JOB_HEAD, [job_row(job, status.at) for job in jobs[:most]]))
    parts.append(left_out(len(jobs) - most, "jobs"))
    parts += [piece for endpoint in endpoints[: most // 4] for piece in _endpoint(endpoint)]
    parts.append(left_out(len(endpoints) - most // 4, "endpoints"))
    if not jobs and not endpoints and not status.notebooks:
        parts.append(line(NOTHING_THERE))
    if status.notebooks:
        rows = [notebook_row(notebook) for notebook in status.notebooks[:most]]
        parts += [element("h4", "Notebooks"), table(NOTEBOOK_HEAD, rows)]
    if status.gc.jobs or status.gc.swept:
        parts.append(table(MARKS_HEAD, marks_rows(status.gc, status.at)))
    if status.runs:
        parts += [element("h4", "Runs"), table(RUN_HEAD, [run_row(run, status.at) for run in status.runs[:most]])]
    return parts


@_drawn.register
def _(job: JobState, _most: int) -> list[Html]:
    rows = [[name, value] for name, value in sorted(job.hyperparameters.items())]
    return [
        table(JOB_HEAD, [job_row(job, datetime.now(UTC))]),
        folded("hyperparameters", table((), rows)) if rows else Html(),
    ]


@_drawn.register
def _(endpoint: EndpointState, _most: int) -> list[Html]:
    return _endpoint(endpoint)


def _endpoint(endpoint: EndpointState) -> list[Html]:
    tone = ENDPOINT_TONES[endpoint.state]
    head = [element("span", str(endpoint.address)), " ", element("span", endpoint.state, cls=tone), " "]
    shares = {variant.name: variant.share_live for variant in endpoint.variants}
    return [
        element("h4", *head, element("span", f"{revision_text(endpoint)}  {endpoint.url}", cls="dim")),
        line((endpoint.detail, tone)) if endpoint.detail else Html(),
        line((key_text(endpoint.key), "dim")) if endpoint.key else Html(),
        *(_rolling(endpoint.rolling) if endpoint.rolling else []),
        split_bar(shares) if any(shares.values()) else Html(),
        table(variant_head(endpoint), variant_rows(endpoint)[:50]),
        left_out(len(endpoint.variants) - 50, "variants"),
    ]


def _rolling(rolling: Rolling) -> list[Html]:
    text = f"revision {rolling.number}, {rolling_text(rolling, datetime.now(UTC))}"
    return [line(("rolling ", "change"), text), split_bar(sides_of(rolling))]


@_drawn.register
def _(run: RunState, _most: int) -> list[Html]:
    return [table(RUN_HEAD, [run_row(run, run.renewed_at)])]


@_drawn.register
def _(revisions: Revisions, most: int) -> list[Html]:
    rows = revision_rows(revisions)[::-1]
    return [table(revision_head(revisions), rows[:most]), left_out(len(rows) - most, "earlier revisions")]


@_drawn.register
def _(found: Recorded, most: int) -> list[Html]:
    parts: list[Html] = []
    for address, revisions in list(found.revisions.items())[: most // 4]:
        parts += [element("h4", str(address)), *_drawn(revisions, max(1, most // 4))]
    parts.append(left_out(len(found.revisions) - most // 4, "endpoints"))
    if found.manifests:
        jobs = found.manifests[::-1]
        parts += [element("h4", "Jobs"), table(MANIFEST_HEAD, [manifest_row(one) for one in jobs[:most]])]
        parts.append(left_out(len(jobs) - most, "earlier jobs"))
    return parts if found.revisions or found.manifests else [line(NO_HISTORY)]


@_drawn.register
def _(manifest: Manifest, most: int) -> list[Html]:
    return [
        table(MANIFEST_HEAD, [manifest_row(manifest)]),
        curves(manifest.series, most=min(most, 8)) if manifest.series else Html(),
        folded("where it comes from", table((), details_of(without_secrets(manifest))[:most])),
    ]


@_drawn.register
def _(metrics: Metrics, most: int) -> list[Html]:
    return [curves(metrics, most=min(most, 8))]


@_drawn.register
def _(answer: Answer, _most: int) -> list[Html]:
    behind = f" from {answer.variant}" if answer.variant else ""
    tone = "dim" if answer.ok else "bad"
    return [line((f"{answer.status} {answer.content_type}{behind}", tone)), element("pre", body_text(answer))]


@_drawn.register
def _(found: Validated, most: int) -> list[Html]:
    jobs, endpoints = counted(found.jobs, "job"), counted(found.endpoints, "endpoint")
    said = f": {jobs} and {endpoints} in {counted(len(found.files), 'file')}"
    return [line(("valid", "good"), said), notes_of(found.notes, most)]


@_drawn.register
def _(found: Comparison, most: int) -> list[Html]:
    return [
        *(line(*verdict_cells(text)) for text in found.sentences[:most]),
        table(comparison_head(found), comparison_rows(found)),
        notes_of(found.notes, most),
        line((footer(found), "dim")),
    ]


@_drawn.register
def _(found: JobsCompared, most: int) -> list[Html]:
    head = names_of(found)
    return [table((title, *head), rows[:most]) for title, rows in tables_of(found)]


@_drawn.register
def _(found: Lineage, most: int) -> list[Html]:
    return [folded(str(trace.job), table((), rows_of(trace)[:most])) for trace in found.traces[:most]]
