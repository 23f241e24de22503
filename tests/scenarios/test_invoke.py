"""What callers get: an unmodified boto3 client, and plain HTTP, against the real gateway and real servers."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.test_gateway import BODY, Stand, a_target, open_stand

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

LIMIT_BYTES = 25 * 2**20
INVOCATION_SECONDS = 1.5


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One endpoint with variants stable (90), candidate (10) and silent (0)."""
    folder = tmp_path_factory.mktemp("invoke")
    with open_stand("process", "test-invoke", folder, invocation_seconds=INVOCATION_SECONDS) as stand:
        weights = {"stable": 90, "candidate": 10, "silent": 0}
        targets = [a_target(variant, weight, [stand.start(variant)]) for variant, weight in weights.items()]
        for target in targets:
            stand.admit(target)
        stand.set_route(*targets)
        yield stand


@pytest.fixture
def client(stand: Stand) -> SageMakerRuntimeClient:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=stand.gateway.address(),
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        aws_session_token="any",
        config=Config(retries={"max_attempts": 0}),
    )


def asked_of(response: Any) -> dict[str, Any]:
    """What the test image says it was asked."""
    found: dict[str, Any] = json.loads(response["Body"].read())
    return found


def error_of(call: Callable[[], Any], kind: type[ClientError]) -> dict[str, Any]:
    with pytest.raises(kind) as raised:
        call()
    assert type(raised.value) is kind
    response: Any = raised.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return {"status": response["ResponseMetadata"]["HTTPStatusCode"], **response}


class OddModel:
    """A server that answers every POST with the same raw bytes, healthy otherwise."""

    def __init__(self, stand: Stand, variant: str, answer: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.wfile.write(answer)
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._stand, self._variant = stand, variant

    def __enter__(self) -> OddModel:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        target = a_target(self._variant, 1, [self._variant])
        addresses = {self._variant: ("127.0.0.1", self._server.server_port)}
        self._stand.gateway.admit("odd", target, addresses)
        self._stand.gateway.set_route("odd", route_of(target), addresses)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stand.gateway.set_route("odd", None, {})
        self._server.shutdown()
        self._server.server_close()


def route_of(target: Any) -> Any:
    from sagespec.state import Route

    return Route("odd", (target,))


# -- boto3: what goes well -------------------------------------------------------------------------


def test_a_prediction_comes_back_with_what_sagemaker_says_of_it(client: SageMakerRuntimeClient) -> None:
    response = client.invoke_endpoint(
        EndpointName="churn",
        Body=BODY,
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=42",
        InferenceId="i" * 64,
    )
    assert response["ContentType"] == "application/json"
    assert response["CustomAttributes"] == "trace=42"
    assert response["InvokedProductionVariant"] in ("stable", "candidate")
    asked = asked_of(response)
    assert (asked["method"], asked["path"], asked["body"]) == ("POST", "/invocations", BODY.decode())
    headers = asked["headers"]
    assert headers["content-type"] == "text/csv"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=42"
    assert headers["x-amzn-sagemaker-inference-id"] == "i" * 64


def test_what_the_client_signs_with_does_not_reach_the_model(client: SageMakerRuntimeClient) -> None:
    headers = asked_of(client.invoke_endpoint(EndpointName="churn", Body=BODY))["headers"]
    leaked = [name for name in headers if name.startswith(("authorization", "x-amz-", "amz-sdk-"))]
    assert leaked == []


def test_the_split_follows_the_weights(client: SageMakerRuntimeClient) -> None:
    def invoke(_number: int) -> str:
        return client.invoke_endpoint(EndpointName="churn", Body=BODY)["InvokedProductionVariant"]

    count = 2500
    with ThreadPoolExecutor(4) as pool:
        seen = Counter(pool.map(invoke, range(count)))
    assert seen.keys() == {"stable", "candidate"}
    deviation = math.sqrt(count * 0.1 * 0.9)
    assert abs(seen["candidate"] - count * 0.1) < 5 * deviation  # chance exceeds this once in two million runs


@pytest.mark.parametrize("variant", ["stable", "candidate", "silent"])
def test_target_variant_overrides_the_weights(client: SageMakerRuntimeClient, variant: str) -> None:
    for _ in range(10):
        response = client.invoke_endpoint(EndpointName="churn", Body=BODY, TargetVariant=variant)
        assert response["InvokedProductionVariant"] == variant


def test_bodies_of_25_mib_pass_both_ways(client: SageMakerRuntimeClient) -> None:
    body = bytes(range(256)) * (LIMIT_BYTES // 256)
    with ThreadPoolExecutor(1) as pool:  # the test image takes longer over such a body than a model may here
        call = pool.submit(client.invoke_endpoint, EndpointName="large", Body=body)
        assert call.exception() is not None  # no such endpoint: the whole body was refused, not the connection
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-npy\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with OddModel(client_stand(client), "large", answer):
        response = client.invoke_endpoint(EndpointName="odd", Body=body)
        assert response["ContentType"] == "application/x-npy"
        assert response["Body"].read() == body
