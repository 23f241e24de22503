"""The log groups and streams there are: one group for all training jobs, and one for each endpoint."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sagespec.api.errors import ApiError
from sagespec.api.logs.reading import Log
from sagespec.api.logs.spool import Line
from sagespec.api.named import NamedJob
from sagespec.api.sagemaker.names import job_named, jobs_named
from sagespec.api.service import Service
from sagespec.run.bars import shown
from sagespec.state.addresses import Address
from sagespec.state.observed import Container

JOBS = "/aws/sagemaker/TrainingJobs"
ENDPOINTS = "/aws/sagemaker/Endpoints/"


@dataclass(frozen=True)
class Stream:
    """One host of a job or one instance of an endpoint. created_at: seconds since 1970."""

    name: str
    created_at: float
    job: NamedJob | None = None
    host: int = 1
    container: Container | None = field(default=None, repr=False)

    def log(self, service: Service) -> Log:
        if self.job is not None:
            return service.books.log(self.job, self.host).spool
        assert self.container is not None
        runtime = service.project.parts.runtime
        return _Lines([(int(at * 1000), shown(line)) for at, line in runtime.timed_logs(self.container.name)])


def groups(service: Service) -> list[str]:
    names = {endpoint.address.name for endpoint in service.snapshots.status().endpoints}
    return sorted([JOBS, *(f"{ENDPOINTS}{name}" for name in names)])


def streams(service: Service, group: str, prefix: str = "") -> list[Stream]:
    """Those of a group whose names begin so, sorted by name. ApiError when there is no such group."""
    if group == JOBS:
        job_name, slash, _ = prefix.partition("/")
        jobs: Sequence[NamedJob]
        jobs = [job for job in [job_named(service, job_name)] if job] if slash else jobs_named(service, prefix)
        found = [stream for job in jobs for stream in _of_job(job)]
    elif group in groups(service):
        found = _of_endpoint(service, group.removeprefix(ENDPOINTS))
    else:
        raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
    return sorted((stream for stream in found if stream.name.startswith(prefix)), key=lambda stream: stream.name)


def stream_named(service: Service, group: str, name: str) -> Stream:
    for stream in streams(service, group, name):
        if stream.name == name:
            return stream
    raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")


def _of_job(job: NamedJob) -> list[Stream]:
    """For all hosts, from the start: SDK 3 shows nothing before there are as many as instances."""
    at = job.created_at.timestamp()
    return [Stream(f"{job.name}/algo-{host}-{int(at)}", at, job, host) for host in range(1, job.hosts + 1)]


def _of_endpoint(service: Service, name: str) -> list[Stream]:
    containers = service.project.parts.runtime.containers()
    whole = Address("endpoint", name)
    return [
        Stream(
            f"{found.address.variant}/i-{found.hash[:12]}-{found.address.instance or 0}",
            found.started_at.timestamp() if found.started_at else 0.0,
            container=found,
        )
        for found in containers
        if found.address.whole == whole
    ]


class _Lines:
    """A log that was read whole; times are made to rise."""

    def __init__(self, lines: Sequence[tuple[int, str]]) -> None:
        self._lines = [text for _, text in lines]
        self._times: list[int] = []
        for at, _ in lines:
            self._times.append(max(at, self._times[-1]) if self._times else at)

    @property
    def first_at(self) -> int | None:
        return self._times[0] if self._times else None

    @property
    def last_at(self) -> int | None:
        return self._times[-1] if self._times else None

    def __len__(self) -> int:
        return len(self._times)

    def number_at(self, at: int) -> int:
        return bisect_left(self._times, at)

    def lines(self, begin: int, end: int) -> Iterator[Line]:
        for number in range(begin, min(end, len(self._times))):
            yield Line(number, self._times[number], self._lines[number])
