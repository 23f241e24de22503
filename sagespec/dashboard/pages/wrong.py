"""What is wrong with a project, the worst first: what one should see before all else. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sagespec.state.addresses import Address
from sagespec.state.source import AttemptResult, HeldReason
from sagespec.verbs.states import EndpointState, EndpointWord, JobState, JobWord, RunState, Status

_BAD_JOBS = (JobWord.FAILED, JobWord.REFUSED)
_ENDPOINTS = (
    EndpointWord.DEGRADED,
    EndpointWord.FLAPPING,
    EndpointWord.BLOCKED,
    EndpointWord.ELSEWHERE,
    EndpointWord.WAITING,
    EndpointWord.PENDING,
    EndpointWord.ORPHANED,
)
MOST_ERRORS = 0.01  # of an endpoint's requests


@dataclass(frozen=True)
class Wrong:
    """about: its address, or a run. word: its state."""

    about: str
    word: str
    text: str


def wrong_of(status: Status) -> tuple[Wrong, ...]:
    """Endpoints first, since callers notice those; then the branch that is followed, jobs, and runs."""
    return (*_endpoints(status), *_source(status), *_jobs(status), *_runs(status))


def _source(status: Status) -> Iterator[Wrong]:
    """Why the branch's newest commit is not what is applied."""
    held = status.source.held if status.source else None
    newest = status.source.attempted if status.source else None
    if held:
        word = "approval" if held.reason is HeldReason.APPROVAL else "held"
        yield Wrong("source", word, f"{held.commit[:12]}: {first_line(held.text)}")
    elif newest and newest.result in (AttemptResult.FAILED, AttemptResult.WRONG):
        yield Wrong("source", newest.result.value, f"{newest.commit[:12]}: {first_line(newest.reason)}")


def _endpoints(status: Status) -> Iterator[Wrong]:
    found = [endpoint for endpoint in status.endpoints if endpoint.state in _ENDPOINTS]
    for endpoint in sorted(found, key=lambda endpoint: _ENDPOINTS.index(endpoint.state)):
        yield Wrong(str(endpoint.address), endpoint.state.value, endpoint.detail or _without_detail(endpoint))
    for endpoint in status.endpoints:
        minutes = [variant.last_minute for variant in endpoint.variants if variant.last_minute]
        requests, errors = sum(minute.requests for minute in minutes), sum(minute.errors for minute in minutes)
        if requests and errors / requests > MOST_ERRORS:
            text = f"{errors:,} of {requests:,} requests of the last minute ended with an error"
            yield Wrong(str(endpoint.address), "failing", text)


def troubled_first(endpoints: Sequence[EndpointState], wrong: Sequence[Wrong]) -> list[EndpointState]:
    """In the order of what is wrong with them, then by address. wrong: of `wrong_of`."""
    troubled = {one.about: number for number, one in enumerate(wrong)}
    return sorted(endpoints, key=lambda e: (troubled.get(str(e.address), len(troubled)), e.address))


def _without_detail(endpoint: EndpointState) -> str:
    return {
        EndpointWord.WAITING: "nothing is served yet",
        EndpointWord.PENDING: "its spec has changes that are not applied yet",
        EndpointWord.ORPHANED: "it serves, and is in no spec",
    }.get(endpoint.state, "")


def _jobs(status: Status) -> Iterator[Wrong]:
    """A job that failed is history once a later version of its name is trained."""
    trained: dict[str, int] = {}
    for job in status.jobs:
        if job.state is JobWord.TRAINED:
            trained[job.address.name] = max(job.address.version, trained.get(job.address.name, 0))
    for job in status.jobs:
        if _is_bad(job) and job.address.version >= trained.get(job.address.name, 0):
            yield Wrong(str(job.address), job.state.value, first_line(job.detail))


def _is_bad(job: JobState) -> bool:
    return job.state in _BAD_JOBS or (job.state is JobWord.RUNNING and job.follower is None)


def _runs(status: Status) -> Iterator[Wrong]:
    for run in status.runs:
        if run.is_late:
            yield Wrong(_run_name(run), "late", "its pass takes longer than it said, or waits for the lock")


def _run_name(run: RunState) -> str:
    return f"{run.who.removeprefix('sagespec ')} (pid {run.pid})"


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def is_under_way(job: JobState) -> bool:
    return job.state in (JobWord.PREPARING, JobWord.RUNNING, JobWord.ENDED)


def newest_first(job: JobState) -> tuple[bool, float, Address]:
    """Sorts, reversed, what runs and then what ended last to the front."""
    at = job.ended_at or job.started_at
    return is_under_way(job), at.timestamp() if at else 0.0, job.address
