"""CloudWatch for the metrics of training jobs, which `training_job_analytics` draws, and for the requests of endpoints.

A metric of a job is one of its namespace, by the job's name; its values are gathered in periods, which begin at whole
multiples of their length, as CloudWatch's do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.api.errors import ApiError
from sagespec.api.invocations import NAMESPACE as OF_ENDPOINTS
from sagespec.api.invocations import CountedPeriod, counted_metrics, counted_periods
from sagespec.api.named import NamedJob
from sagespec.api.sagemaker.names import job_named, jobs_named
from sagespec.api.service import Operation, Request, Result, Service
from sagespec.errors import WorldError

NAMESPACE = "/aws/sagemaker/TrainingJobs"
DIMENSION = "TrainingJobName"
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_MOST_METRICS = 500  # of one answer

Points = Sequence[tuple[float, float]]  # seconds since 1970, value


@dataclass(frozen=True)
class Period:
    """The values of one period. at: its begin, in seconds since 1970."""

    at: float
    values: tuple[float, ...]

    def statistic(self, name: str) -> float:
        match name:
            case "SampleCount":
                return float(len(self.values))
            case "Sum":
                return sum(self.values)
            case "Minimum":
                return min(self.values)
            case "Maximum":
                return max(self.values)
        return sum(self.values) / len(self.values)


def periods(points: Points, *, start: float, end: float, seconds: int) -> list[Period]:
    """Those with values from the period in which `start` is up to `end`, in the order of time."""
    found: dict[float, list[float]] = {}
    for at, value in points:
        begin = at // seconds * seconds
        if start // seconds * seconds <= begin < end:
            found.setdefault(begin, []).append(value)
    return [Period(at, tuple(values)) for at, values in sorted(found.items())]


def get_metric_statistics(service: Service, request: Request) -> Result:
    wanted = [_statistic(name) for name in request.get("Statistics", ())]
    if not wanted:
        raise ApiError("InvalidParameterCombination", "Statistics is missing; sagespec has no ExtendedStatistics")
    found = _periods(service, request, request, request["Period"])
    told = [{"Timestamp": one.at, "Unit": "None", **{name: one.statistic(name) for name in wanted}} for one in found]
    return {"Label": request["MetricName"], "Datapoints": told}


def get_metric_data(service: Service, request: Request) -> Result:
    results = []
    for query in request["MetricDataQueries"]:
        if "MetricStat" not in query:
            raise ApiError("ValidationError", f"{query['Id']}: sagespec has metrics here, no expressions")
        if query.get("ReturnData") is False:
            continue
        asked = query["MetricStat"]
        name, found = _statistic(asked["Stat"]), _periods(service, asked["Metric"], request, asked["Period"])
        if request.get("ScanBy") != "TimestampAscending":
            found = found[::-1]
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label", asked["Metric"]["MetricName"]),
                "Timestamps": [one.at for one in found],
                "Values": [one.statistic(name) for one in found],
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results, "Messages": []}


def list_metrics(service: Service, request: Request) -> Result:
    wanted = {one["Name"]: one.get("Value") for one in request.get("Dimensions", ())}
    found = [
        metric
        for metric in (*_of_endpoints(service, request), *_of_jobs(service, request, wanted))
        if request.get("MetricName", metric["MetricName"]) == metric["MetricName"] and _has(metric, wanted)
    ]
    token = request.get("NextToken", "0")
    if not token.isdecimal() or len(token) > 9:
        raise ApiError("InvalidParameterValue", "NextToken is none of ours")
    end = int(token) + _MOST_METRICS
    return {"Metrics": found[int(token) : end], "NextToken": str(end) if end < len(found) else None}


def _of_endpoints(service: Service, request: Request) -> list[dict[str, Any]]:
    return counted_metrics(service) if request.get("Namespace", OF_ENDPOINTS) == OF_ENDPOINTS else []


def _of_jobs(service: Service, request: Request, wanted: Mapping[str, str | None]) -> list[dict[str, Any]]:
    if request.get("Namespace", NAMESPACE) != NAMESPACE or not wanted.keys() <= {DIMENSION}:
        return []
    name = wanted.get(DIMENSION)
    jobs = jobs_named(service, "") if name is None else [job for job in [job_named(service, name)] if job]
    return [
        {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": [{"Name": DIMENSION, "Value": job.name}]}
        for job, metric in _metrics(service, jobs)
    ]


def _has(metric: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    """Whether it has all of these dimensions, with these values where they say any."""
    given = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
    return all(name in given and value in (None, given[name]) for name, value in wanted.items())


def _periods(
    service: Service, metric: Request, asked: Request, seconds: int
) -> Sequence[Period] | Sequence[CountedPeriod]:
    """asked: for the time that is asked for."""
    start, end = asked["StartTime"], asked["EndTime"]
    if metric.get("Namespace") == OF_ENDPOINTS:
        return counted_periods(service, metric, start=start, end=end, seconds=seconds)
    return periods(_points(service, metric), start=start, end=end, seconds=seconds)


def _metrics(service: Service, jobs: Sequence[NamedJob]) -> Iterator[tuple[NamedJob, str]]:
    for job in jobs:
        yield from ((job, name) for name in _series(service, job))


def _points(service: Service, metric: Request) -> Points:
    """The values of one metric; none of one that nobody knows, as CloudWatch has it."""
    given = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
    if metric.get("Namespace") != NAMESPACE or given.keys() != {DIMENSION}:
        return ()
    job = job_named(service, given[DIMENSION])
    return _series(service, job).get(metric["MetricName"], ()) if job else ()


def _series(service: Service, job: NamedJob) -> Mapping[str, Points]:
    """What a job has printed so far, by metric."""
    row = next((one for one in service.snapshots.status().jobs if one.address == job.address), None)
    started_at = row.started_at if row else None
    try:
        if started_at is None:
            started_at = service.project.manifest(job.address).started_at
        found = next(service.project.series(job.address))
    except WorldError:  # it has not begun, or has printed none
        return {}
    since = started_at.timestamp()
    return {name: [(since + seconds, value) for seconds, value in points] for name, points in found.items()}


def _statistic(name: str) -> str:
    if name not in STATISTICS:
        raise ApiError("InvalidParameterValue", f"sagespec has no statistic {name[:60]}: use {', '.join(STATISTICS)}")
    return name


MONITORING: Mapping[str, Operation] = {
    "GetMetricStatistics": get_metric_statistics,
    "GetMetricData": get_metric_data,
    "ListMetrics": list_metrics,
}
