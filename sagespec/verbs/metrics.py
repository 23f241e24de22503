"""The metrics of a job as series: from its containers while it runs, from its manifest once it has ended.

What `sagespec logs --plot` draws. `run.metrics` decides what counts as a metric, so that both are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sagespec.clock import RealClock
from sagespec.display import Displayed
from sagespec.errors import WorldError, did_you_mean
from sagespec.frames import frame_of
from sagespec.parts import Parts
from sagespec.run.attempts import Attempts
from sagespec.run.metrics import FoundMetrics, Patterns, Point, latest_points, latest_values, series_of
from sagespec.run.notes import known_start
from sagespec.run.patterns import patterns_of
from sagespec.runtimes.protocol import Runtime
from sagespec.spec.endpoint import named_job
from sagespec.state.addresses import Address
from sagespec.state.desired import DesiredJob
from sagespec.state.observed import ContainerState, Observed
from sagespec.verbs.addresses import known_addresses
from sagespec.verbs.history import manifest
from sagespec.verbs.plan import desired

LINES_OF_STATUS = 1000  # of a running job's log, in which status looks for its latest metrics
Series = Mapping[str, Sequence[Point]]  # metric name: (seconds since the job's start, value), in the order of time


class Metrics(Displayed, dict[str, Sequence[Point]]):
    """The series of a job, by metric."""

    __slots__ = ()

    @property
    def last(self) -> dict[str, float]:
        """What each has last."""
        return {name: points[-1][1] for name, points in self.items() if points}

    def frame(self) -> Any:
        """A data frame of pandas: a row for each moment, in seconds since the job's start, and a column a metric."""
        rows: dict[float, dict[str, float]] = {}
        for name, points in self.items():
            for at, value in points:
                rows.setdefault(at, {})[name] = value
        moments = sorted(rows)
        return frame_of([rows[at] for at in moments], index=moments, columns=list(self)).rename_axis("seconds")


def series(
    parts: Parts, address: Address, metric_names: Sequence[str], *, follow: bool, every_seconds: float
) -> Iterator[Metrics]:
    if address.kind != "job":
        raise WorldError(f"{address} is not a job, so it has no metrics", fix="name a job: job/NAME@VERSION")
    for found in _all_series(parts, address.whole, follow=follow, every_seconds=every_seconds):
        _refuse_jobs([name for name in metric_names if name not in found], parts)
        yield Metrics(_chosen(address.whole, found, metric_names, may_come=follow))


def _refuse_jobs(words: Sequence[str], parts: Parts) -> None:
    """WorldError for a word that is no metric and means a job."""
    if not words:
        return
    jobs = [address.whole for address in known_addresses(parts) if address.kind == "job"]
    versions = {name: sorted({job.version for job in jobs if job.name == name}) for name in {job.name for job in jobs}}
    for word in words:
        name, _, version = word.removeprefix("job/").partition("@")
        if name not in versions:
            continue
        has = ", ".join(f"{name}@{number}" for number in versions[name])
        if version in map(str, versions[name]):
            raise WorldError(f"{word} is a job, and stands behind a metric", fix="name all jobs before the metrics")
        what = f"there is no job {word}" if version else f"{word} is the name of jobs, without a version"
        raise WorldError(what, why=f"of that name there is {has}", fix="name one of these")


def _all_series(parts: Parts, address: Address, *, follow: bool, every_seconds: float) -> Iterator[Series]:
    hosts = (c for c in parts.runtime.containers() if c.address.whole == address and not c.address.is_companion)
    names = [c.name for c in sorted(hosts, key=lambda host: host.address.instance or 0)]
    job = desired(parts, check_paths=False)[0].job(address) if names else None
    since = _began_at(parts, job, names) if job else None
    if job is None or since is None:
        yield manifest(parts, address).series
        return
    patterns = patterns_of(job, parts.metrics_of_builtins)
    if follow:
        yield from followed_series(parts.runtime, names, patterns, since, every_seconds=every_seconds)
    else:
        yield series_so_far(parts.runtime, names, patterns, since)


def _began_at(parts: Parts, job: DesiredJob, host_names: Sequence[str]) -> float | None:
    """When the job began, in seconds since 1970, as its manifest will say; None while its data are being fetched."""
    attempts = Attempts(parts.records, job, RealClock())
    started = known_start(attempts, parts.runtime, host_names)
    return None if started is None or attempts.has_ended(started.attempt) else started.started_at.timestamp()


def _chosen(address: Address, found: Series, metric_names: Sequence[str], *, may_come: bool) -> Series:
    chosen = {name: points for name, points in found.items() if name in metric_names or not metric_names}
    missing = [name for name in metric_names if name not in found]
    if may_come or (chosen and not missing):
        return chosen
    job = bool(missing) and named_job(missing[0].removeprefix("job/")) is not None
    also = ", and no job is called so" if job else ""
    raise WorldError(
        f"{address} has printed no metric {missing[0]}{also}" if missing else f"{address} has printed no metrics",
        why=f"it has {', '.join(found)}" if found else "metrics are found in its log by regular expressions",
        fix=(did_you_mean(missing[0], found) if missing else "")
        or ("see `sagespec status` for the jobs there are" if job else "")
        or "declare what its program prints under `metrics` in the spec",
    )


def latest_metrics(parts: Parts, job: DesiredJob, observed: Observed) -> Mapping[str, float]:
    """The latest metrics that the containers of a running job have printed, whichever process follows it."""
    containers = observed.containers_of(job.address)
    running = [c for c in containers if c.state is ContainerState.RUNNING and not c.address.is_companion]
    patterns = patterns_of(job, parts.metrics_of_builtins)
    if not patterns:
        return {}
    logs = (list(parts.runtime.timed_logs(c.name, tail=LINES_OF_STATUS)) for c in running)
    return latest_values(latest_points(patterns, lines) for lines in logs)


def series_so_far(runtime: Runtime, container_names: Sequence[str], patterns: Patterns, since: float) -> Series:
    """What the containers (algo-1 first) have printed by now. since: the job's start, seconds since 1970."""
    hosts = [FoundMetrics(patterns) for _ in container_names]
    for name, host in zip(container_names, hosts, strict=True):
        for at, line in runtime.timed_logs(name):
            host.read(at, line)
    return series_of(hosts, since)


def followed_series(
    runtime: Runtime, container_names: Sequence[str], patterns: Patterns, since: float, *, every_seconds: float
) -> Iterator[Series]:
    """The same again every so often, and once more when all containers have ended. WorldError when a log breaks off."""
    hosts = [FoundMetrics(patterns) for _ in container_names]
    errors: list[WorldError] = []
    left = threading.Event()  # nobody reads on

    def read(name: str, host: FoundMetrics) -> None:
        try:
            for at, line in runtime.timed_logs(name, follow=True):
                if left.is_set():
                    return
                host.read(at, line)
        except WorldError as error:
            errors.append(error)

    readers = [
        threading.Thread(target=read, args=(name, host), name=f"metrics-{name}", daemon=True)
        for name, host in zip(container_names, hosts, strict=True)
    ]
    for reader in readers:
        reader.start()
    try:
        while any(reader.is_alive() for reader in readers):
            left.wait(every_seconds)
            yield series_of(hosts, since)
    finally:
        left.set()
    if errors:
        raise errors[0]
    yield series_of(hosts, since)
