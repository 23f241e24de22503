"""Jobs side by side: the parameters, data and metrics in which they differ, and their curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagespec.display import Displayed
from sagespec.errors import WorldError
from sagespec.frames import frame_of
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.manifest import Manifest
from sagespec.verbs.differences import Row, differing_first, parameters_of, rows_of
from sagespec.verbs.metrics import Metrics, series
from sagespec.verbs.status import job_state_of


@dataclass(frozen=True, repr=False)
class JobsCompared(Displayed):
    """parameters, data: all of them, those that differ first. series: by the job's address."""

    jobs: tuple[Address, ...]
    metrics: Sequence[Row]
    parameters: Sequence[Row]
    data: Sequence[Row]
    series: Mapping[str, Metrics] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        names = [str(job) for job in self.jobs]

        def by_name(rows: Sequence[Row]) -> dict[str, Any]:
            return {
                row.name: {"differs": row.differs, "values": dict(zip(names, row.values, strict=True))} for row in rows
            }

        return {
            "jobs": names,
            "metrics": by_name(self.metrics),
            "hyperparameters": by_name(self.parameters),
            "data": by_name(self.data),
            "series": {
                name: {metric: [list(point) for point in points] for metric, points in found.items()}
                for name, found in self.series.items()
            },
        }

    def frame(self) -> Any:
        """A data frame of pandas with a row for each job, and a column for each metric and hyperparameter."""
        rows = [*self.metrics, *self.parameters]
        found = [{row.name: row.values[number] for row in rows} for number in range(len(self.jobs))]
        return frame_of(found, index=[str(job) for job in self.jobs])


def compare_jobs(parts: Parts, jobs: Sequence[Address]) -> JobsCompared:
    """WorldError where one of them is not known, or fewer than two are named."""
    jobs = tuple(dict.fromkeys(job.whole for job in jobs))
    if len(jobs) < 2:
        raise WorldError("one job cannot be compared with itself", fix="name two or more: churn@2 churn@3")
    manifests = parts.records.manifests(jobs)
    metrics: list[Mapping[str, float]] = []
    parameters: list[Mapping[str, str]] = []
    for job in jobs:
        if manifest := manifests.get(job):
            metrics.append(manifest.metrics)
            parameters.append(parameters_of(manifest))
        else:
            state = job_state_of(parts, job)
            metrics.append(state.metrics or {})
            parameters.append(state.hyperparameters)
    return JobsCompared(
        jobs=jobs,
        metrics=rows_of(metrics),
        parameters=differing_first(rows_of(parameters)),
        data=differing_first(rows_of([_data_of(manifests.get(job)) for job in jobs])),
        series={str(job): _series_of(parts, job, manifests.get(job)) for job in jobs},
    )


def _data_of(manifest: Manifest | None) -> Mapping[str, str]:
    return {name: one.fingerprint[:12] for name, one in manifest.inputs.items()} if manifest else {}


def _series_of(parts: Parts, job: Address, manifest: Manifest | None) -> Metrics:
    """Nothing of a job that has printed none."""
    if manifest:
        return Metrics(manifest.series)
    try:
        return next(series(parts, job, (), follow=False, every_seconds=1.0))
    except WorldError:
        return Metrics()
