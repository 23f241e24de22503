"""The metrics of a job that runs, as series, read from its containers while it prints them.

`project` asks for `sagespec logs --plot`; of a job that has ended the manifest has them. What counts as a metric is
`metrics`' affair, so that both are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

from sagespec.errors import WorldError
from sagespec.run.metrics import FoundMetrics, Patterns, Point, series_of
from sagespec.runtimes.protocol import Runtime

LINES_OF_STATUS = 1000  # of a running job's log, in which status looks for its latest metrics


Series = Mapping[str, Sequence[Point]]  # metric name: (seconds since the job's start, value), in the order of time


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

    def read(name: str, host: FoundMetrics) -> None:
        try:
            for at, line in runtime.timed_logs(name, follow=True):
                host.read(at, line)
        except WorldError as error:
            errors.append(error)

    readers = [
        threading.Thread(target=read, args=(name, host), name=f"metrics-{name}", daemon=True)
        for name, host in zip(container_names, hosts, strict=True)
    ]
    for reader in readers:
        reader.start()
    left = threading.Event()
    while any(reader.is_alive() for reader in readers):
        left.wait(every_seconds)
        yield series_of(hosts, since)
    if errors:
        raise errors[0]
    yield series_of(hosts, since)
