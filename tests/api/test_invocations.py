"""What CloudWatch says of endpoints, by an unmodified boto3, of what the loop has counted."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagespec.traffic.intervals import Interval
from tests.planes import Plane

NOW = time.time() // 60 * 60
OF = {"Namespace": "AWS/SageMaker"}
TIME = {
    "StartTime": datetime.fromtimestamp(NOW, UTC) - timedelta(minutes=60),
    "EndTime": datetime.fromtimestamp(NOW, UTC),
}


def dimensions(variant: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": "churn"}, {"Name": "VariantName", "Value": variant}]


@pytest.fixture
def cloudwatch(plane: Plane) -> Any:
    """Variant A had 30 requests in a minute, of which 6 failed, and 4 in a later one; others reached no variant."""
    history = plane.listening.service.project.parts.traffic
    for second in range(10):
        a = Interval(1, requests=3, model_5xx=second % 2, model_4xx=int(second == 9))
        history.add(NOW - 300 + second, NOW - 299 + second, {("churn", "A"): a, ("churn", ""): Interval(1, client=1)})
    history.add(NOW - 101, NOW - 100, {("churn", "A"): Interval(1, requests=4)})
    history.add(NOW - 1, NOW, {})
    return plane.client("cloudwatch")


def statistics(cloudwatch: Any, metric: str, variant: str, *names: str) -> list[dict[str, float]]:
    asked = {"Period": 60, "Statistics": list(names), "Dimensions": dimensions(variant)}
    found = cloudwatch.get_metric_statistics(**OF, **TIME, **asked, MetricName=metric)
    assert all(point["Unit"] == "None" for point in found["Datapoints"])
    return [{name: point[name] for name in names} for point in found["Datapoints"]]


def test_requests_of_each_variant_by_the_minute(cloudwatch: Any) -> None:
    assert statistics(cloudwatch, "Invocations", "A", "Sum", "SampleCount", "Average", "Maximum") == [
        {"Sum": 30, "SampleCount": 30, "Average": 1, "Maximum": 1},
        {"Sum": 4, "SampleCount": 4, "Average": 1, "Maximum": 1},
    ]
    assert statistics(cloudwatch, "Invocations", "B", "Sum") == []


def test_failed_requests_are_a_share_of_all(cloudwatch: Any) -> None:
    assert statistics(cloudwatch, "Invocation5XXErrors", "A", "Sum", "Average", "Minimum") == [
        {"Sum": 5, "Average": 5 / 30, "Minimum": 0},
        {"Sum": 0, "Average": 0, "Minimum": 0},
    ]
    assert statistics(cloudwatch, "Invocation4XXErrors", "A", "Sum", "Maximum")[0] == {"Sum": 1, "Maximum": 1}
    assert statistics(cloudwatch, "ModelLatency", "A", "Sum") == []


def test_the_same_as_data_of_metrics_that_are_listed(cloudwatch: Any) -> None:
    listed = cloudwatch.list_metrics(**OF, MetricName="Invocations")["Metrics"]
    assert listed == [{**OF, "MetricName": "Invocations", "Dimensions": dimensions("A")}]
    assert cloudwatch.list_metrics(**OF, Dimensions=[{"Name": "TrainingJobName"}])["Metrics"] == []
    query = {"Id": "m", "MetricStat": {"Metric": listed[0], "Period": 60, "Stat": "Sum"}}
    (found,) = cloudwatch.get_metric_data(MetricDataQueries=[query], **TIME)["MetricDataResults"]
    assert found["Values"] == [4, 30]
