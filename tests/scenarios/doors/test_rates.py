"""No caller gets more than its rate, and no endpoint takes more: refused as SageMaker does, and no model's error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest

from sagespec.state.doors import Doors, Limit
from tests.gateway.test_gateway import wait_for
from tests.scenarios.doors.door import BODY, CRM_KEY, SHOP_KEY, Door, caller, open_door

SLOW, QUICK = Limit(burst=5, requests=6, seconds=60), Limit(burst=3, requests=3, seconds=1)
DOORS = Doors(callers=(caller("crm", CRM_KEY), caller("shop", SHOP_KEY, limit=SLOW)), limits={"other": QUICK})


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def door(request: pytest.FixtureRequest, project_name: str, tmp_path: Any) -> Iterator[Door]:
    with open_door(request.param, project_name, tmp_path, DOORS) as door:
        yield door


def test_a_caller_gets_its_burst_and_then_only_its_rate(door: Door) -> None:
    answers = [door.knock(f"X-Api-Key: {SHOP_KEY}") for _ in range(8)]
    assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
    refused = answers[-1]
    assert refused.kind == "ThrottlingException"
    assert b'"Message":"Rate exceeded' in refused.body
    assert refused.headers["retry-after"] == "10"
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["x-amzn-requestid"]
    assert not [name for name in refused.headers if "envoy" in name or "ratelimit" in name]
    assert [door.knock(f"X-Api-Key: {CRM_KEY}").status for _ in range(8)] == [200] * 8
    # Whoever has no key uses up nobody's, and learns nothing of rates.
    assert [door.knock().status for _ in range(8)] == [403] * 8


def test_an_endpoint_takes_its_rate_from_all_callers_together(door: Door) -> None:
    path = "/endpoints/other/invocations"
    answers = [door.knock(f"X-Api-Key: {CRM_KEY}", path=path) for _ in range(6)]
    assert [answer.status for answer in answers[:3]] == [200] * 3
    refused = [answer.headers["retry-after"] for answer in answers if answer.status == 429]
    assert set(refused) == {"1"}  # this endpoint's, whatever other callers have to wait
    assert door.knock(f"X-Api-Key: {CRM_KEY}").status == 200
    wait_for(lambda: door.knock(f"X-Api-Key: {CRM_KEY}", path=path).status == 200)


def test_what_was_too_much_is_no_error_of_the_model(door: Door) -> None:
    assert {door.knock(f"X-Api-Key: {SHOP_KEY}").status for _ in range(8)} == {200, 429}
    counted = door.stand.gateway.counters()["churn", "stable", "1-aa"]
    assert (counted.requests, counted.errors) == (5, 0)


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_boto3_waits_and_sends_again(door: Door, mode: Any) -> None:
    """Unmodified: the key is its access key id."""
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{door.port}",
        region_name="us-east-1",
        aws_access_key_id=CRM_KEY,
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"mode": mode, "max_attempts": 10}),
    )
    begun, retries = time.monotonic(), 0
    for _ in range(8):
        answer = client.invoke_endpoint(EndpointName="other", ContentType="text/csv", Body=BODY)
        retries += answer["ResponseMetadata"]["RetryAttempts"]
    assert retries > 0
    assert time.monotonic() - begun > 1  # 3 at once, then 3 a second
