"""Statuses made up for pages: of any size, with whatever a program may have printed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sagespec.state.addresses import endpoint_address, job_address
from sagespec.verbs.states import EndpointState, EndpointWord, JobState, JobWord, Status, VariantState

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>\"'&</pre><script>alert(2)</script>"


def job_row(name: str, version: int, state: JobWord = JobWord.TRAINED, detail: str = "") -> JobState:
    return JobState(
        job_address(name, version),
        state,
        detail,
        metrics={"validation:auc": 0.9 + version / 1000},
        seconds=float(version),
        started_at=AT - timedelta(hours=2),
        ended_at=AT - timedelta(minutes=version) if state in (JobWord.TRAINED, JobWord.FAILED) else None,
        hyperparameters={"num_round": "100", "eta": str(version / 10)},
    )


def endpoint_row(name: str, state: EndpointWord = EndpointWord.SERVING, detail: str = "") -> EndpointState:
    variants = tuple(
        VariantState(
            variant, f"{name}@{number + 1}", share, share, 1, 1, requests=1000, errors=0, p50_ms=1.2, p99_ms=4.5
        )
        for number, (variant, share) in enumerate((("stable", 0.9), ("candidate", 0.1)))
    )
    return EndpointState(endpoint_address(name), state, f"http://127.0.0.1:8080/{name}", 3, variants, detail)


def status_of(jobs: tuple[JobState, ...] = (), endpoints: tuple[EndpointState, ...] = ()) -> Status:
    return Status(jobs, endpoints, "http://127.0.0.1:8080", "process", "file:///s", AT)


def large() -> Status:
    """1,000 jobs and 200 endpoints, some of each not well."""
    words = [JobWord.TRAINED] * 8 + [JobWord.FAILED, JobWord.WAITING]
    jobs = tuple(job_row(f"model-{n // 5}", n % 5 + 1, words[n % 10], f"because of {n} " * 10) for n in range(1000))
    states = [EndpointWord.SERVING] * 9 + [EndpointWord.DEGRADED]
    return status_of(jobs, tuple(endpoint_row(f"model-{n}", states[n % 10]) for n in range(200)))
