"""Deployments step by step, by an unmodified boto3: what it sees meanwhile, and after a take-back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.sagemaker.asking import Asking

FIRST, SECOND, SHORT = (f"churn-2026-11-29-12-3{number}-05-575" for number in (0, 1, 2))
WAIT_SECONDS = 4


def canary(**more: Any) -> dict[str, Any]:
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": WAIT_SECONDS,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 2}
    return {"BlueGreenUpdatePolicy": policy} | more


@pytest.fixture
def served(working: Asking) -> Asking:
    """Endpoint churn serves config `first`; `second` is as good, and `short` was trained on a column less."""
    bucket = working.plane.root / ".sagespec" / "s3" / "acme"
    rows = (bucket / "train.csv").read_text().splitlines()
    (bucket / "short.csv").write_text("".join(f"{row.rpartition(',')[0]}\n" for row in rows))
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://acme/short.csv"}
    channel = {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}
    short: dict[str, Any] = {"InputDataConfig": [channel]}
    for name, config in ((FIRST, "first"), (SECOND, "second"), (SHORT, "short")):
        working.job(name, **(short if config == "short" else {}))
        found = working.ended(name)
        assert found["TrainingJobStatus"] == "Completed", found
        working.model(config, found["ModelArtifacts"]["S3ModelArtifacts"])
        working.config(config, A=config)
    working.client.create_endpoint(EndpointName="churn", EndpointConfigName="first")
    assert working.settled("churn")["EndpointStatus"] == "InService"
    return working


@contextmanager
def calling(asking: Asking) -> Iterator[list[str]]:
    """Requests again and again; the codes of those that failed."""
    over, failed = threading.Event(), list[str]()
    runtime = asking.plane.client("sagemaker-runtime")

    def call() -> None:
        while not over.wait(0.02):
            try:
                runtime.invoke_endpoint(EndpointName="churn", Body=b"0.9,0.9", ContentType="text/csv")["Body"].read()
            except ClientError as error:
                failed.append(error.response["Error"]["Code"])

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield failed
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_canary_is_updating_until_it_is_in_service(served: Asking) -> None:
    served.client.update_endpoint(EndpointName="churn", EndpointConfigName="second", DeploymentConfig=canary())
    assert "strategy: canary" in served.spec("endpoint-churn.yaml")
    seen: list[Any] = []

    def look() -> None:
        while not seen or seen[-1]["EndpointStatus"] == "Updating":
            seen.append(served.endpoint("churn"))
            time.sleep(0.2)

    looking = threading.Thread(target=look)
    looking.start()
    waiter = served.client.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="churn", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    looking.join()
    *meanwhile, last = seen
    assert {one["EndpointStatus"] for one in meanwhile} == {"Updating"}
    configs = [one["EndpointConfigName"] for one in meanwhile]
    assert configs == sorted(configs), "what serves: the second one while the old instances are removed"
    assert {"PendingDeploymentSummary" in one for one in meanwhile if one["EndpointConfigName"] == "first"} == {True}
    pending = [one["PendingDeploymentSummary"] for one in meanwhile if one["EndpointConfigName"] == "first"]
    assert {one["EndpointConfigName"] for one in pending} == {"second"}
    variants = [one["ProductionVariants"][0] for one in pending]
    assert {one["CurrentWeight"] for one in variants} >= {0.5}
    said = [status for one in variants for status in one["VariantStatus"]]
    assert {"Creating", "Baking"} <= {one["Status"] for one in said}
    text = f"Baking for {WAIT_SECONDS} seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1"
    assert any(text in one["StatusMessage"] for one in said), said
    assert (last["EndpointStatus"], last["EndpointConfigName"]) == ("InService", "second")
    assert "PendingDeploymentSummary" not in last
    assert last["LastDeploymentConfig"] == canary()
    served.client.update_endpoint(EndpointName="churn", EndpointConfigName="first")
    assert "strategy" not in served.spec("endpoint-churn.yaml"), "it was for one update"
    served.settled("churn")


@pytest.mark.slow
def test_one_that_fails_rolls_back_and_is_in_service_with_the_reason(served: Asking) -> None:
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "too-many-errors"}]}}
    config = canary(**alarms)
    config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] = 60
    with calling(served) as failed:
        served.client.update_endpoint(EndpointName="churn", EndpointConfigName="short", DeploymentConfig=config)
        assert "# alarm too-many-errors is not watched here" in served.spec("endpoint-churn.yaml")
        code, text = served.refusal("update_endpoint", EndpointName="churn", EndpointConfigName="first")
        assert (code, text.partition(" endpoint")[0]) == ("ValidationException", "Cannot update in-progress")
        seen: list[Any] = []
        end = time.monotonic() + 60
        while not seen or seen[-1]["EndpointStatus"] != "InService":
            seen.append(served.endpoint("churn"))
            assert time.monotonic() < end, seen[-1]
            time.sleep(0.05)
    statuses = [one["EndpointStatus"] for one in seen]
    assert set(statuses) <= {"Updating", "RollingBack", "InService"}
    assert statuses == sorted(statuses, key=["Updating", "RollingBack", "InService"].index), "in this order"
    last = seen[-1]
    assert last["EndpointConfigName"] == "first"
    assert "taken back: errors" in last["FailureReason"]
    assert "PendingDeploymentSummary" not in last
    assert failed
    assert set(failed) == {"ModelError"}
