"""What becomes of a request whatever its client and its model do: real Envoy, odd clients, odd servers."""

from __future__ import annotations

import http.client
import importlib
import json
import resource
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import pytest

from sagespec.gateway.checks import checks
from sagespec.runtimes.choose import images_dir
from sagespec.state.observed import ContainerState, Route
from tests.gateway.test_gateway import BODY, Stand, a_target, open_stand, wait_for

PATH = "/endpoints/odd/invocations"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with open_stand("process", "test-requests", tmp_path_factory.mktemp("requests")) as stand:
        yield stand


class Models:
    """Servers behind the endpoint `odd` that answer each request with the same bytes and hang up."""

    def __init__(self, answer: bytes, *, is_threaded: bool = True) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        models = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            def do_POST(self) -> None:
                models.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                models.headers.append({name.lower(): value for name, value in self.headers.items()})
                models.paths.append(self.path)
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._kind = ThreadingHTTPServer if is_threaded else HTTPServer
        self._handler = Handler

    @contextmanager
    def behind(self, stand: Stand, count: int = 1) -> Iterator[list[HTTPServer]]:
        with ExitStack() as stack:
            servers = [stack.enter_context(self._kind(("127.0.0.1", 0), self._handler)) for _ in range(count)]
            for server in servers:
                threading.Thread(target=server.serve_forever, daemon=True).start()
            addresses = {f"odd-{i}": ("127.0.0.1", server.server_port) for i, server in enumerate(servers)}
            stand.gateway.set_route("odd", Route("odd", (a_target("odd", 1, [*addresses]),)), addresses)
            yield servers
            stand.gateway.set_route("odd", None, {})
            for server in servers:
                server.shutdown()


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def kind(self) -> str:
        return self.headers.get("x-amzn-errortype", "")

    @property
    def message(self) -> str:
        message: str = json.loads(self.body)["Message"]
        return message


def ask(stand: Stand, path: str = PATH, body: bytes = BODY, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=20)
    try:
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Reply(connection.getresponse())
    finally:
        connection.close()


def send(stand: Stand, data: bytes) -> Reply:
    """The answer to these very bytes."""
    with socket.create_connection(("127.0.0.1", stand.settings.port), timeout=20) as connection:
        connection.sendall(data)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Reply(response)


def raw(*lines: str, body: bytes = b"", host: str = "localhost", version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST {PATH} HTTP/{version}", f"Host: {host}", *lines, "", ""]).encode() + body


# -- slow clients ----------------------------------------------------------------------------------


def test_clients_that_send_half_a_body_cost_nobody_anything(stand: Stand) -> None:
    models = Models(GOOD, is_threaded=False)
    with models.behind(stand), ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", stand.settings.port)))
            client.sendall(raw("Content-Length: 200", body=b"1,2"))
        assert [ask(stand).status for _ in range(10)] == [200] * 10
    assert models.bodies == [BODY] * 10


def test_a_body_that_comes_in_pieces_reaches_the_model_whole(stand: Stand) -> None:
    models = Models(GOOD)
    with models.behind(stand), socket.create_connection(("127.0.0.1", stand.settings.port), timeout=20) as client:
        client.sendall(raw("Transfer-Encoding: chunked"))
        for _ in range(3):
            client.sendall(b"2\r\nab\r\n")
        assert models.bodies == []
        client.sendall(b"0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert models.bodies == [b"ababab"]


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(1024, 462), (4096, 1998), (2**20, 50_000), (resource.RLIM_INFINITY, 50_000)],
)
def test_connections_leave_descriptors_for_the_models(
    descriptors: int, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(images_dir() / "gateway")
    assert importlib.import_module("gateway_serving").connection_limit(descriptors) == connections


# -- a request is run once -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the model ended the connection without an answer"),
        (b"so what\r\n\r\n", "the model's answer is not valid HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "the model's answer is not valid HTTP",
        ),
    ],
)
def test_a_model_that_took_a_request_and_gave_no_answer_is_not_asked_again(
    stand: Stand, answer: bytes, reason: str
) -> None:
    models = Models(answer)
    with models.behind(stand, count=3):
        reply = ask(stand)
    assert (reply.status, reply.kind) == (424, "ModelError")
    assert reason in reply.message
    assert json.loads(reply.body)["OriginalStatusCode"] == 0
    assert len(models.bodies) == 1


def test_a_request_that_kills_its_model_kills_one(stand: Stand) -> None:
    names = [stand.start("stable", index, endpoint="poison") for index in range(3)]
    stand.serve(a_target("stable", 1, names), endpoint="poison")
    assert stand.invoke(endpoint="poison", crash=3)["status"] == 424

    def died() -> list[str]:
        now = {c.name: c for c in stand.runtime.containers() if c.name in names}
        return [name for name, c in now.items() if c.restarts or c.state is not ContainerState.RUNNING]

    wait_for(lambda: bool(died()))
    assert len(died()) == 1


def test_what_could_not_be_connected_is_sent_to_another(stand: Stand) -> None:
    with Models(GOOD).behind(stand, count=2) as servers:
        servers[0].shutdown()
        servers[0].server_close()
        assert {ask(stand).status for _ in range(10)} == {200}


def test_the_last_instance_keeps_its_traffic_when_it_is_silent(stand: Stand) -> None:
    name = stand.start("stable", endpoint="silent", environment={"ECHO_UNHEALTHY_AFTER": "1"})
    stand.serve(a_target("stable", 1, [name]), endpoint="silent")
    wait_for(lambda: not stand.is_healthy(name))
    assert stand.invoke(endpoint="silent")["status"] == 200


# -- what passes between client and model ----------------------------------------------------------


def test_a_model_sees_the_headers_of_the_api_and_no_others(stand: Stand) -> None:
    models = Models(GOOD)
    with models.behind(stand):
        ask(
            stand,
            PATH + "?x=1",
            Content_Type="text/csv",
            Accept="application/json",
            X_Amzn_SageMaker_Custom_Attributes="a=b",
            X_Amzn_SageMaker_Session_Id="s",
            X_Custom="1",
            User_Agent="me",
            Accept_Language="de",
            Authorization="AWS4",
            Cookie="c",
            X_Amz_Date="now",
            Content_Encoding="gzip",
        )
    assert models.paths == ["/invocations"]
    assert models.headers[0].keys() - {"host", "content-length"} == {
        "content-type",
        "accept",
        "x-amzn-sagemaker-custom-attributes",
        "x-amzn-sagemaker-session-id",
    }


def test_a_client_sees_the_headers_of_the_api_and_no_others(stand: Stand) -> None:
    own = "Content-Type: text/csv\r\nX-Amzn-SageMaker-Custom-Attributes: a\r\nSet-Cookie: c\r\nX-Other: o\r\nETag: e"
    with Models(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n{own}\r\n\r\nok".encode()).behind(stand):
        reply = ask(stand)
    assert reply.headers.keys() - {"date", "server", "content-length"} == {
        "content-type",
        "x-amzn-sagemaker-custom-attributes",
        "x-amzn-invoked-production-variant",
        "x-amzn-requestid",
    }


def test_http_1_0_is_answered(stand: Stand) -> None:
    with Models(GOOD).behind(stand):
        reply = send(stand, raw("Content-Length: 3", body=b"1,2", version="1.0"))
    assert (reply.status, reply.body) == (200, b"ok")


# -- requests that reach no model ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (raw("Transfer-Encoding: chunked", body=b"FFFFFFFFFFFFFFFFF\r\nabc"), 400),
        (raw("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n-1\r\n"), 400),
        (raw("Transfer-Encoding: chunked", "Content-Length: 3"), 400),
        (raw("Transfer-Encoding: gzip"), 501),
        (raw("X: " + "x" * 70_000), 431),
        (f"POST {PATH} HTTP/1.1\r\n\r\n".encode(), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    ],
)
def test_what_envoy_itself_refuses_is_told_in_json_and_not_counted_as_the_models(
    stand: Stand, data: bytes, status: int
) -> None:
    with Models(GOOD).behind(stand):
        before = stand.gateway.counters()["odd", "odd", "1-aa"]
        reply = send(stand, data)
        after = stand.gateway.counters()["odd", "odd", "1-aa"]
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    assert reply.kind in ("ValidationError", "MethodNotAllowedException")
    assert reply.message
    assert after.errors == before.errors


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("LOCALHOST", 200),
        ("host.docker.internal:8080", 200),
        ("sagespec-gateway", 200),
        ("rebind.evil.example", 403),
        ("127.0.0.1.evil.example:8080", 403),
    ],
)
def test_a_name_of_the_web_is_no_name_of_this_machine(stand: Stand, host: str, status: int) -> None:
    with Models(GOOD).behind(stand):
        reply = send(stand, raw("Content-Length: 0", host=host))
    assert (reply.status, reply.kind) == (status, "AccessDeniedException" if status == 403 else "")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8888", 200),
        ("https://127.0.0.1", 200),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
    ],
)
def test_a_page_of_another_site_gets_no_answer(stand: Stand, origin: str, status: int) -> None:
    with Models(GOOD).behind(stand):
        assert ask(stand, Origin=origin).status == status


def test_a_gateway_that_is_open_to_the_network_has_any_name() -> None:
    assert len(checks("127.0.0.1")) == len(checks("0.0.0.0")) + 2


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("X_Amzn_SageMaker_Target_Model", "TARGET_MODEL_HEADER_NOT_SUPPORTED"),
        ("X_Amzn_SageMaker_Inference_Component", "INFERENCE_COMPONENT_HEADER_NOT_SUPPORTED"),
        ("X_Amzn_SageMaker_Target_Container_Hostname", "TARGET_CONTAINER_HEADER_NOT_SUPPORTED"),
    ],
)
def test_there_is_one_model_to_ask(stand: Stand, header: str, code: str) -> None:
    models = Models(GOOD)
    with models.behind(stand):
        reply = ask(stand, PATH, BODY, **{header: "a"})
    assert (reply.status, reply.kind, json.loads(reply.body)["ErrorCode"]) == (400, "ValidationError", code)
    assert models.bodies == []


@pytest.mark.parametrize("attributes", ["grün".encode(), "grün".encode("latin-1"), b"a\x7f"])
def test_custom_attributes_are_ascii(stand: Stand, attributes: bytes) -> None:
    with Models(GOOD).behind(stand):
        head = raw("Content-Length: 0", "X-Amzn-SageMaker-Custom-Attributes: @").replace(b"@", attributes)
        assert (send(stand, head).status, send(stand, head).kind) == (400, "ValidationError")


def test_many_at_once_are_answered_each_with_its_own(stand: Stand) -> None:
    name = stand.start("stable", endpoint="many")
    stand.serve(a_target("stable", 1, [name]), endpoint="many")

    def one(number: int) -> bool:
        reply = ask(stand, "/endpoints/many/invocations", str(number).encode())
        return bool(json.loads(reply.body)["body"] == str(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(100)))
