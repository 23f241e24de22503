"""`deploy`: jobs behind an endpoint, served once their models answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.errors import JobFailed, SpecError
from sagespec.handles.endpoints import Endpoint, begin, change, existing_job
from sagespec.handles.jobs import Job
from sagespec.handles.projects import ProjectLike, project_of
from sagespec.handles.variants import Wanted
from sagespec.project import Project
from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus

Jobs = Job | str | Sequence[Job | str] | Mapping[Job | str, float]


def deploy(
    jobs: Jobs,
    name: str | None = None,
    *,
    weights: Sequence[float] | None = None,
    instances: int | None = None,
    environment: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    retry: bool = False,
    wait: bool = True,
    project: ProjectLike = None,
) -> Endpoint:
    """Serve a model, and return once it answers: its endpoint. The same again changes nothing.

    jobs: a Job or its name ("churn@1"), several, or with their shares: {job: 90, better: 10}.
    name: of the endpoint; that of the first job without one. An endpoint that is there already serves these models
    from then on, without losing a request.
    weights: the shares of several jobs, in their order. instances: containers for each model.
    retry: try again what failed. wait: False returns at once; the rest continues in the background.

    The endpoint is written to specs/notebook/ and applied alone, with the jobs it needs. SpecError: what was asked for
    is wrong. WorldError: it does not answer, with the reason; what served before serves on.
    """
    shares = _shares(jobs, weights)
    found = _project_of(jobs, project)
    texts = [existing_job(one, found.parts) for one in shares]
    given = {"instances": instances, "environment": environment, "resources": resources}
    fields = {
        key: value if isinstance(value, int) else dict(value) for key, value in given.items() if value is not None
    }
    new = Endpoint.of(found, name or texts[0].partition("@")[0])
    if not retry:
        _refuse_without_model(found, texts)
    is_change = change(new, [Wanted(text, weight, fields) for text, weight in zip(texts, shares.values(), strict=True)])
    return begin(new, wait=wait, retry=retry or is_change)


def _shares(jobs: Jobs, weights: Sequence[float] | None) -> dict[Job | str, float | None]:
    if not isinstance(jobs, Job | str | Sequence | Mapping):
        raise SpecError(f"{jobs!r} is not a job", fix='name one, or give a Job: deploy("churn@1")')
    if isinstance(jobs, Mapping) and jobs:
        if weights is not None:
            raise SpecError("weights are given twice", fix="leave weights out, or give the jobs as a list")
        return dict(jobs)
    listed = [jobs] if isinstance(jobs, Job | str) else list(jobs)
    if not listed:
        raise SpecError("there is no job to serve", fix='name one at least: deploy("churn@1")')
    if weights is not None and len(weights) != len(listed):
        raise SpecError(f"{len(weights)} weights for {len(listed)} jobs", fix="give one for each job, in their order")
    return dict(zip(listed, weights if weights is not None else [None] * len(listed), strict=True))


def _project_of(jobs: Jobs, project: ProjectLike) -> Project:
    listed = [jobs] if isinstance(jobs, Job | str) else list(jobs)
    own = next((one.project for one in listed if isinstance(one, Job)), None)
    return own if own is not None and project is None else project_of(project)


def _refuse_without_model(project: Project, texts: Sequence[str]) -> None:
    """JobFailed for a job that has ended and has left nothing to serve."""
    for text in texts:
        name, _, version = text.partition("@")
        address = job_address(name, int(version))
        ended = project.parts.records.manifests([address]).get(address)
        if ended and ended.status is not JobStatus.COMPLETED and address not in project.parts.leases().look().followers:
            fix = "train it again, or deploy another version; deploy(…, retry=True) does both"
            raise JobFailed(str(address), ended.verdict, fix=fix)
