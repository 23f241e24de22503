"""What callers get: an unmodified boto3 client, and plain HTTP, against the real gateway and real servers."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sagespec.state.observed import Route
from tests.gateway.test_gateway import BODY, Stand, a_target, open_stand

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


@pytest.fixture(scope="module")
def client(stand: Stand) -> SageMakerRuntimeClient:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=stand.settings.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        aws_session_token="any",
        config=Config(retries={"max_attempts": 0}),
    )


def asked_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """What the test image says it was asked."""
    asked: dict[str, Any] = json.loads(response["Body"].read())
    return asked


def error_of(kind: type[ClientError], call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The members of the error that `call` raises, with its status; it must be of exactly this kind."""
    with pytest.raises(kind) as raised:
        call(**{"EndpointName": "churn", "Body": BODY, **arguments})
    assert type(raised.value) is kind
    response: Any = raised.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return {"status": response["ResponseMetadata"]["HTTPStatusCode"], **response}


@contextmanager
def odd_model(stand: Stand, answer: bytes) -> Iterator[None]:
    """Endpoint `odd`: a healthy server that answers every invocation with these bytes and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target, addresses = a_target("odd", 1, ["odd"]), {"odd": ("127.0.0.1", server.server_port)}
        stand.gateway.set_route("odd", Route("odd", (target,)), addresses)
        yield
        stand.gateway.set_route("odd", None, {})
        server.shutdown()


def plain(stand: Stand, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, dict[str, Any]]:
    """Status, error type and body of one plain HTTP request."""
    connection = http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers.get("x-amzn-ErrorType", ""), json.loads(response.read() or b"{}")
    finally:
        connection.close()


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
    assert response["ResponseMetadata"]["RequestId"]
    asked = asked_of(response)
    assert (asked["method"], asked["path"], asked["body"]) == ("POST", "/invocations", BODY.decode())
    headers = asked["headers"]
    assert headers["content-type"] == "text/csv"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=42"
    assert headers["x-amzn-sagemaker-inference-id"] == "i" * 64


def test_what_the_client_signs_with_does_not_reach_the_model(client: SageMakerRuntimeClient) -> None:
    headers = asked_of(client.invoke_endpoint(EndpointName="churn", Body=BODY))["headers"]
    assert [name for name in headers if name.startswith(("authorization", "x-amz-", "amz-sdk-"))] == []


def test_the_split_follows_the_weights(client: SageMakerRuntimeClient) -> None:
    def invoked_variant(_number: int) -> str:
        return client.invoke_endpoint(EndpointName="churn", Body=BODY)["InvokedProductionVariant"]

    count = 2500
    with ThreadPoolExecutor(4) as pool:
        seen = Counter(pool.map(invoked_variant, range(count)))
    assert seen.keys() == {"stable", "candidate"}
    deviation = math.sqrt(count * 0.9 * 0.1)
    assert abs(seen["candidate"] - count * 0.1) < 5 * deviation  # chance alone exceeds this once in a million runs


@pytest.mark.parametrize("variant", ["stable", "candidate", "silent"])
def test_target_variant_overrides_the_weights(client: SageMakerRuntimeClient, variant: str) -> None:
    for _ in range(10):
        response = client.invoke_endpoint(EndpointName="churn", Body=BODY, TargetVariant=variant)
        assert response["InvokedProductionVariant"] == variant


def test_bodies_of_25_mib_pass_both_ways_unchanged(client: SageMakerRuntimeClient, stand: Stand) -> None:
    body = bytes(range(256)) * (LIMIT_BYTES // 256)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-npy\r\nContent-Length: %d\r\n\r\n" % len(body)
    with odd_model(stand, head + body):
        response = client.invoke_endpoint(EndpointName="odd", Body=body)
        assert response["ContentType"] == "application/x-npy"
        assert response["Body"].read() == body


def test_no_content_passes_as_it_is(client: SageMakerRuntimeClient, stand: Stand) -> None:
    with odd_model(stand, b"HTTP/1.1 204 No Content\r\n\r\n"):
        response = client.invoke_endpoint(EndpointName="odd", Body=BODY)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert response["InvokedProductionVariant"] == "odd"


def test_a_model_cannot_pass_for_another_or_for_the_gateway(client: SageMakerRuntimeClient, stand: Stand) -> None:
    answer = (
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nx-Amzn-Invoked-Production-Variant: best\r\n"
        b"x-amzn-ErrorType: ValidationError\r\n\r\n"
    )
    with odd_model(stand, answer):
        error = error_of(client.exceptions.ModelError, client.invoke_endpoint, EndpointName="odd")
    assert error["ResponseMetadata"]["HTTPHeaders"]["x-amzn-invoked-production-variant"] == "odd"


# -- boto3: every error is the one its author expects ------------------------------------------------


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (404, "client"), (500, "server"), (503, "server")])
def test_what_a_model_refuses_is_a_model_error(client: SageMakerRuntimeClient, status: int, side: str) -> None:
    attributes = f"status={status}"
    error = error_of(client.exceptions.ModelError, client.invoke_endpoint, CustomAttributes=attributes)
    assert error["status"] == 424
    assert error["OriginalStatusCode"] == status
    assert json.loads(error["OriginalMessage"])["body"] == BODY.decode()
    assert error["Message"].startswith(f'Received {side} error ({status}) from model with message "{{"body"')
    assert error["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/churn")


def test_a_model_that_takes_too_long_is_a_model_error_without_a_status(client: SageMakerRuntimeClient) -> None:
    error = error_of(client.exceptions.ModelError, client.invoke_endpoint, CustomAttributes="delay=3")
    assert (error["status"], error["OriginalStatusCode"]) == (424, 0)
    assert error["Message"].startswith("Received server error (0) from model")
    assert error["LogStreamArn"].endswith("/churn")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ('quotes " and \\ back', 'quotes " and \\ back'),
        ("grün, 好, 🌲", "grün, 好, 🌲"),
        (b"\x00\x1f\x7f", "\x00\x1f\x7f"),
        (b"\xff\xc3\x28\xe2\x82", "\ufffd\ufffd(\ufffd\ufffd"),
        (b"\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf", "\ufffd" * 9),
    ],
)
def test_any_bytes_of_a_model_make_a_readable_error(
    client: SageMakerRuntimeClient, stand: Stand, said: str | bytes, read: str
) -> None:
    body = said.encode() if isinstance(said, str) else said
    with odd_model(stand, b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(body) + body):
        error = error_of(client.exceptions.ModelError, client.invoke_endpoint, EndpointName="odd")
    assert error["OriginalMessage"] == read


def test_blank_space_at_the_end_of_a_models_message_is_not_quoted(client: SageMakerRuntimeClient, stand: Stand) -> None:
    with odd_model(stand, b"HTTP/1.1 400 Oops\r\nContent-Length: 12\r\n\r\nexpected 4\r\n"):
        error = error_of(client.exceptions.ModelError, client.invoke_endpoint, EndpointName="odd")
    assert 'with message "expected 4". See: sagespec logs' in error["Message"]
    assert error["OriginalMessage"] == "expected 4\r\n"


def test_a_huge_message_of_a_model_is_a_model_error_still(client: SageMakerRuntimeClient, stand: Stand) -> None:
    body = b"x" * LIMIT_BYTES
    with odd_model(stand, b"HTTP/1.1 507 Oops\r\nContent-Length: %d\r\n\r\n" % len(body) + body):
        error = error_of(client.exceptions.ModelError, client.invoke_endpoint, EndpointName="odd")
    assert error["OriginalStatusCode"] == 507


def test_an_answer_that_is_not_http_is_a_model_error(client: SageMakerRuntimeClient, stand: Stand) -> None:
    with odd_model(stand, b"so what\r\n\r\n"):
        error = error_of(client.exceptions.ModelError, client.invoke_endpoint, EndpointName="odd")
    assert "the model's answer is not valid HTTP" in error["OriginalMessage"]


@pytest.mark.parametrize("name", ["nope", "churn2", "chur", "a b", ""])
def test_an_unknown_endpoint_is_a_validation_error(client: SageMakerRuntimeClient, name: str) -> None:
    error = error_of(client.exceptions.ValidationError, client.invoke_endpoint, EndpointName=name)
    assert error["status"] == 400
    assert error["Message"] == f"Endpoint {name.replace(' ', '%20')} of account 000000000000 not found."


def test_an_unknown_variant_is_a_validation_error_that_names_it(client: SageMakerRuntimeClient) -> None:
    error = error_of(client.exceptions.ValidationError, client.invoke_endpoint, TargetVariant="best")
    assert (error["status"], error["Message"]) == (400, "Variant best of endpoint churn not found.")


@pytest.mark.parametrize(("member", "limit"), [("InferenceId", 64), ("CustomAttributes", 1024)])
def test_a_member_that_is_too_long_is_a_validation_error(
    client: SageMakerRuntimeClient, member: str, limit: int
) -> None:
    client.invoke_endpoint(**{"EndpointName": "churn", "Body": BODY, member: "x" * limit})  # type: ignore[arg-type]
    too_long = {member: "x" * (limit + 1)}
    error = error_of(client.exceptions.ValidationError, client.invoke_endpoint, **too_long)
    assert error["status"] == 400
    assert f"less than or equal to {limit}" in error["Message"]


@pytest.mark.parametrize("size", [LIMIT_BYTES + 1, 2 * LIMIT_BYTES])
def test_a_body_over_the_limit_is_a_validation_error(client: SageMakerRuntimeClient, size: int) -> None:
    error = error_of(client.exceptions.ValidationError, client.invoke_endpoint, Body=bytes(size))
    assert (error["status"], error["Message"]) == (400, f"The request's body is over the limit of {LIMIT_BYTES} bytes.")


def test_an_endpoint_that_has_no_instance_yet_is_unavailable(client: SageMakerRuntimeClient, stand: Stand) -> None:
    new = a_target("stable", 1, [stand.start("stable", endpoint="new")])
    stand.admit(new, endpoint="new")
    error = error_of(client.exceptions.ServiceUnavailable, client.invoke_endpoint, EndpointName="new")
    assert (error["status"], error["Message"]) == (503, "Endpoint new has no instance to answer yet.")
    stand.set_route(new, endpoint="new")
    client.invoke_endpoint(EndpointName="new", Body=BODY)


# -- plain HTTP ------------------------------------------------------------------------------------


def test_the_gateway_says_of_itself_that_it_is_well(stand: Stand) -> None:
    assert plain(stand, "GET", "/ping") == (200, "", {})


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/", 404, "UnknownOperationException"),
        ("POST", "/invocations", 404, "UnknownOperationException"),
        ("POST", "/pingpong", 404, "UnknownOperationException"),
        ("POST", "/endpoints/churn", 404, "UnknownOperationException"),
        ("POST", "/endpoints/churn/async-invocations", 404, "UnknownOperationException"),
        ("POST", "/base/endpoints/churn/invocations", 404, "UnknownOperationException"),
        ("POST", "/endpoints/churn/invocations/../../x", 404, "UnknownOperationException"),
        ("GET", "/endpoints/churn/invocations", 405, "MethodNotAllowedException"),
        ("GET", "/endpoints/nope/invocations", 405, "MethodNotAllowedException"),
    ],
)
def test_other_paths_and_methods_are_refused_in_json(
    stand: Stand, method: str, path: str, status: int, kind: str
) -> None:
    found = plain(stand, method, path, BODY if method == "POST" else None)
    assert found[:2] == (status, kind)
    assert found[2].keys() == {"Message"}


def test_chunked_bodies_arrive_whole(stand: Stand) -> None:
    chunks = (bytes([65 + number % 26]) * 1000 for number in range(100))
    _, _, asked = plain(stand, "POST", "/endpoints/churn/invocations", chunks)
    assert asked["body"] == "".join(chr(65 + number % 26) * 1000 for number in range(100))


def test_chunked_bodies_over_the_limit_are_refused(stand: Stand) -> None:
    chunks = (bytes(2**20) for _ in range(26))
    assert plain(stand, "POST", "/endpoints/churn/invocations", chunks)[:2] == (400, "ValidationError")


def test_a_client_that_waits_for_100_continue_is_let_go_on(stand: Stand) -> None:
    with socket.create_connection(("127.0.0.1", stand.settings.port), timeout=10) as connection:
        connection.sendall(b"POST /endpoints/churn/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n")
        connection.sendall(b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"1,2")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_one_connection_serves_answers_and_errors_alike(stand: Stand) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=10)
    connection.connect()
    own_end = connection.sock
    for status in (200, 500, 200):
        headers = {"X-Amzn-SageMaker-Custom-Attributes": f"status={status}"}
        connection.request("POST", "/endpoints/churn/invocations", BODY, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == (424 if status == 500 else 200)
        assert connection.sock is own_end
    connection.close()
