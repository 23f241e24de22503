"""Predictions that come to the control plane are the gateway's affair."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.conftest import plane_of
from tests.planes import Plane


class Gateway(BaseHTTPRequestHandler):
    """Says what it was sent; a stream comes in two parts, and the second after the first has been read."""

    protocol_version = "HTTP/1.1"
    first_was_read = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("-stream"):
            self._stream()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("x-Amzn-Invoked-Production-Variant", "AllTraffic")
        for name in ("Authorization", "X-Amzn-SageMaker-Custom-Attributes"):
            self.send_header(f"X-Got-{name}", str(self.headers.get(name)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        assert self.first_was_read.wait(20)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def fronted(root: Path) -> Iterator[Plane]:
    """A control plane with a gateway."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        with (root / "sagespec.yaml").open("a") as settings:
            settings.write(f"gateway: {{port: {gateway.server_port}}}\n")
        with plane_of(root) as plane:
            yield plane
        gateway.shutdown()


def test_a_prediction_is_passed_on_and_its_answer_comes_back(fronted: Plane) -> None:
    client = fronted.client("sagemaker-runtime")
    body = b"1,2\n" * 300_000
    found = client.invoke_endpoint(EndpointName="churn", Body=body, ContentType="text/csv", CustomAttributes="a=b")
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert (found["Body"].read(), found["ContentType"]) == (body, "text/csv")
    assert found["InvokedProductionVariant"] == "AllTraffic"
    assert (headers["x-got-authorization"], headers["x-got-x-amzn-sagemaker-custom-attributes"]) == ("None", "a=b")


def test_a_stream_comes_as_it_is_made(fronted: Plane) -> None:
    import http.client
    from urllib.parse import urlsplit

    Gateway.first_was_read.clear()
    connection = http.client.HTTPConnection(urlsplit(fronted.url).netloc, timeout=10)
    connection.request("POST", "/endpoints/churn/invocations-response-stream", b"1,2")
    answer = connection.getresponse()
    assert answer.read1(100) == b"first"
    Gateway.first_was_read.set()
    assert answer.read() == b"second"
    connection.close()


def test_without_an_endpoint_there_is_none_to_be_found(plane: Plane) -> None:
    with pytest.raises(ClientError, match="Endpoint churn of account 000000000000 not found"):
        plane.client("sagemaker-runtime").invoke_endpoint(EndpointName="churn", Body=b"1")
