"""CloudWatch for the requests of endpoints: how many each variant had, and how many of them failed.

They are what the loop of this process has counted at the gateway, for a day at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sagespec.api.service import Request, Service
from sagespec.traffic.intervals import Interval, Variant

NAMESPACE = "AWS/SageMaker"
METRICS = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
_ENDPOINT, _VARIANT = "EndpointName", "VariantName"
_KEPT_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class CountedPeriod:
    """The requests of one period, each of which counts as 1 or as 0. at: its begin, in seconds since 1970."""

    at: float
    requests: int
    counted: int

    def statistic(self, name: str) -> float:
        match name:
            case "Sum":
                return float(self.counted)
            case "SampleCount":
                return float(self.requests)
            case "Minimum":
                return float(self.counted >= self.requests)
            case "Maximum":
                return float(self.counted > 0)
        return self.counted / self.requests


def counted_periods(
    service: Service, metric: Request, *, start: float, end: float, seconds: int
) -> Sequence[CountedPeriod]:
    """Those with requests, in the order of time."""
    given = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
    name = metric["MetricName"]
    if given.keys() != {_ENDPOINT, _VARIANT} or name not in METRICS:
        return ()
    found: dict[float, list[Interval]] = {}
    now = service.project.parts.traffic.recorded_at
    asked = min(max(now - start, 0.0) + seconds, _KEPT_SECONDS)
    for seen in service.project.parts.traffic.seen((given[_ENDPOINT], given[_VARIANT]), now, asked):
        begin = seen.start // seconds * seconds
        if start // seconds * seconds <= begin < end:
            found.setdefault(begin, []).append(seen.interval)
    periods = [_period(at, name, within) for at, within in sorted(found.items())]
    return [period for period in periods if period.requests]


def counted_metrics(service: Service) -> list[dict[str, object]]:
    """One of each kind for every variant that had a request."""
    return [
        {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": _dimensions(variant)}
        for variant in sorted(service.project.parts.traffic.variants())
        if variant[1]
        for name in METRICS
    ]


def _dimensions(variant: Variant) -> list[dict[str, str]]:
    return [{"Name": _ENDPOINT, "Value": variant[0]}, {"Name": _VARIANT, "Value": variant[1]}]


def _period(at: float, name: str, within: Sequence[Interval]) -> CountedPeriod:
    return CountedPeriod(at, sum(one.requests for one in within), sum(_counted(name, one) for one in within))


def _counted(name: str, interval: Interval) -> int:
    match name:
        case "Invocation4XXErrors":
            return interval.model_4xx
        case "Invocation5XXErrors":
            return interval.errors - interval.model_4xx
    return interval.requests
