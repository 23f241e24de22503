"""What `sagespec logs gateway` shows: a line for each request, without what nobody else may see."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.gateway.documents import CDS
from tests.gateway.test_gateway import Stand, a_target, open_stand, wait_for
from tests.gateway.test_requests import GOOD, PATH, Models, ask, raw, send
from tests.ports import free_port

SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with open_stand("process", "test-access-log", tmp_path_factory.mktemp("log")) as stand:
        yield stand


def lines(stand: Stand) -> list[dict[str, Any]]:
    printed = stand.runtime.logs(stand.gateway.launch().name)
    return [json.loads(line) for line in printed if line.startswith("{")]


def line_of(stand: Stand, request_id: str) -> dict[str, Any]:
    """The one line of a request; it may take a second to come."""

    def found() -> list[dict[str, Any]]:
        return [line for line in lines(stand) if line.get("request_id") == request_id]

    wait_for(lambda: bool(found()))
    (line,) = found()
    return line


def test_a_line_tells_of_a_request_what_an_operator_asks(stand: Stand) -> None:
    with Models(GOOD).behind(stand):
        reply = ask(stand, X_Amzn_SageMaker_Inference_Id='order "7"')
        line = line_of(stand, reply.headers["x-amzn-requestid"])
    assert line.pop("at").endswith("Z")
    assert 0 <= line.pop("ms") < 5000
    assert line == {
        "endpoint": "odd",
        "variant": "odd",
        "target": "odd/odd/1-aa",
        "status": 200,
        "bytes_in": 15,
        "bytes_out": 2,
        "from": "127.0.0.1",
        "request_id": reply.headers["x-amzn-requestid"],
        "inference_id": 'order "7"',
        "path": "/invocations",
        "flags": "-",
    }


def test_a_line_begins_with_its_time(stand: Stand) -> None:
    ask(stand)
    wait_for(lambda: any(line.startswith('{"at":') for line in stand.runtime.logs(stand.gateway.launch().name)))


def test_neither_keys_nor_bodies_are_in_it(stand: Stand) -> None:
    body = f'{{"password": "{SECRET}"}}'.encode()
    with Models(GOOD).behind(stand):
        for path in (f"{PATH}?key={SECRET}", f"/endpoints/none/invocations?key={SECRET}"):
            reply = ask(
                stand,
                path,
                body,
                Authorization=f"Bearer {SECRET}",
                Cookie=SECRET,
                X_Api_Key=SECRET,
                X_Amzn_SageMaker_Custom_Attributes=SECRET,
            )
            line_of(stand, reply.headers["x-amzn-requestid"])
    assert SECRET not in "\n".join(stand.runtime.logs(stand.gateway.launch().name))


def test_a_client_can_add_no_line_and_no_long_one(stand: Stand) -> None:
    reply = ask(stand, "/endpoints/" + "x" * 5000 + "/invocations")
    assert len(json.dumps(line_of(stand, reply.headers["x-amzn-requestid"]))) < 1000
    assert send(stand, raw("Content-Length: 0", "X-Amzn-SageMaker-Inference-Id: a\rb")).status == 400
    assert all(line["status"] for line in lines(stand))


def test_what_reached_no_model_says_why(stand: Stand) -> None:
    reply = ask(stand, "/endpoints/none/invocations")
    line = line_of(stand, reply.headers["x-amzn-requestid"])
    assert (line["status"], line["error"], line["path"]) == (400, "ValidationError", "/endpoints/none/invocations")
    assert "endpoint" not in line


def test_what_envoy_rejects_is_found_among_many_requests(stand: Stand) -> None:
    name = stand.start("stable", endpoint="rejected")
    stand.serve(a_target("stable", 1, [name]), endpoint="rejected")
    for _ in range(300):
        ask(stand, "/endpoints/rejected/invocations")
    time.sleep(1.2)  # their lines are printed within a second
    with pytest.raises(WorldError, match=f"Envoy rejected {CDS}: .*PortValue"):
        stand.gateway.set_route("rejected", a_route(name), {name: ("127.0.0.1", 70_000)})


def a_route(name: str) -> Any:
    from sagespec.state.observed import Route

    return Route("rejected", (a_target("stable", 1, [name]),))


def test_it_can_be_left_out_but_for_what_feedback_needs(stand: Stand) -> None:
    settings = stand.settings.model_copy(update={"access_log": False, "port": free_port()})
    quiet = stand.another_gateway(settings)
    assert quiet.hash != stand.gateway.hash
    quiet.start(lambda _event: None)
    with closing(http.client.HTTPConnection("127.0.0.1", settings.port, timeout=20)) as connection:
        for id in ("", "order-7"):
            headers = {"X-Amzn-SageMaker-Inference-Id": id} if id else {}
            connection.request("POST", "/endpoints/none/invocations", b"", headers)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (400, True)

    def printed() -> list[dict[str, Any]]:
        log = stand.runtime.logs(quiet.launch().name)
        return [json.loads(line) for line in log if line.startswith("{")]

    wait_for(lambda: bool(printed()))
    assert [line["inference_id"] for line in printed()] == ["order-7"]
    stand.gateway.start(lambda _event: None)


@pytest.mark.docker
def test_docker_keeps_and_bounds_it_too(project_name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_stand("docker", project_name, tmp_path_factory.mktemp("docker")) as stand:
        reply = ask(stand, "/endpoints/none/invocations")
        assert line_of(stand, reply.headers["x-amzn-requestid"])["status"] == 400
