"""The server of algorithms and frameworks: who waits for whom, and what a worker's end costs."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"

MODEL = '''
import fcntl, os, time
from toolkit.model import Model

class Sum(Model):
    """Obeys custom attributes: delay=<seconds>, crash, pid. Loads while `weights` is there."""

    def __init__(self, folder):
        (folder / "weights").read_text()
        if (folder / "one-only").exists():
            self.lock = (folder / "one-only").open("w")
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.folder = folder
        self.feature_count = 2

    def predict(self, rows, request):
        with (self.folder / "asked").open("a") as asked:
            asked.write("x")
        order, _, value = request.attributes.partition("=")
        if order == "crash":
            os._exit(9)
        if order == "delay":
            time.sleep(float(value))
        if order == "pid":
            request.answer_attributes = str(os.getpid())
        return {"score": rows.sum(axis=1)}
'''
SERVE = """
from toolkit.serving import main

if __name__ == "__main__":
    main("lone_model:Sum")
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lone")
    (folder / "lone_model.py").write_text(MODEL)
    (folder / "serve").write_text(SERVE)
    return str(folder)


@pytest.fixture
def tree(program: str, make_tree: Any) -> Any:
    tree = make_tree(program)
    tree.model.mkdir()
    (tree.model / "weights").write_text("1")
    return tree


@contextlib.contextmanager
def busy(tree: Any, server: Any, *, delay: float) -> Iterator[Any]:
    """While a request is at its model for `delay` seconds."""
    with ThreadPoolExecutor(1) as pool:
        asked = len(runs(tree))
        future = pool.submit(server.invoke, "1,2", **{ATTRIBUTES: f"delay={delay}"})
        wait_for(lambda: len(runs(tree)) > asked)
        yield future


def runs(tree: Any) -> str:
    path: Path = tree.model / "asked"
    return path.read_text() if path.exists() else ""


def wait_for(is_so: Any) -> None:
    give_up_at = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.01)


def worker_of(server: Any) -> str:
    """Who answers now."""
    pid: str = server.invoke("1,2", **{ATTRIBUTES: "pid"}).headers[ATTRIBUTES.lower()]
    return pid


# -- who waits for whom ----------------------------------------------------------------------------


def test_ping_is_answered_while_every_worker_predicts(tree: Any, serve: Any) -> None:
    with serve(tree) as server:
        server.wait_until_it_answers()
        with busy(tree, server, delay=2.0) as slow:
            pings = [server.ask("GET", "/ping").status for _ in range(10)]
            assert not slow.done()
            assert pings == [200] * 10
            assert slow.result().status == 200


def test_a_quick_request_does_not_wait_behind_a_slow_one_while_a_worker_is_free(tree: Any, serve: Any) -> None:
    with serve(tree, workers=2) as server:
        server.wait_until_it_answers()
        with busy(tree, server, delay=3.0) as slow:
            assert [server.invoke("1,2").status for _ in range(20)] == [200] * 20
            assert not slow.done()


def test_requests_wait_in_turn_for_the_only_worker(tree: Any, serve: Any) -> None:
    with serve(tree) as server:
        server.wait_until_it_answers()
        with busy(tree, server, delay=0.5), ThreadPoolExecutor(4) as pool:
            assert {reply.status for reply in pool.map(lambda _: server.invoke("1,2"), range(12))} == {200}


def test_clients_that_send_half_a_request_cost_nobody_anything(tree: Any, serve: Any) -> None:
    with serve(tree) as server, contextlib.ExitStack() as stack:
        server.wait_until_it_answers()
        for data in (
            b"POST /invocations HTTP/1.1\r\nContent-Length: 200\r\n\r\n1,2",
            b"POST /invocations HTTP/1.1\r\nX:",
        ):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(data)
        assert server.ask("GET", "/ping").status == 200
        assert server.invoke("1,2").status == 200


def test_a_waiting_request_whose_client_has_gone_is_not_run(tree: Any, serve: Any) -> None:
    with serve(tree) as server:
        server.wait_until_it_answers()
        with busy(tree, server, delay=1.0):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"POST /invocations HTTP/1.1\r\nContent-Length: 3\r\n\r\n1,2")
                time.sleep(0.2)
        assert server.invoke("1,2").status == 200
        assert len(runs(tree)) == 2


# -- what a worker's end costs ---------------------------------------------------------------------


def test_a_request_that_kills_its_worker_is_told_and_costs_no_other(tree: Any, serve: Any) -> None:
    with serve(tree, workers=2) as server:
        server.wait_until_it_answers()
        with busy(tree, server, delay=1.0) as other:
            killed = server.invoke("1,2", **{ATTRIBUTES: "crash"})
            assert (killed.status, "ended before it had an answer" in killed.text) == (500, True)
            assert server.ask("GET", "/ping").status == 200
            assert server.invoke("1,2").status == 200  # waits for the worker that is started instead
            assert other.result().status == 200
        assert len(runs(tree)) == 3
        assert server.stop() == 0


def test_a_worker_that_never_answers_is_given_up(tree: Any, serve: Any) -> None:
    with serve(tree, SAGEMAKER_MODEL_SERVER_TIMEOUT="0.5") as server:
        server.wait_until_it_answers()
        late = server.invoke("1,2", **{ATTRIBUTES: "delay=60"})
        assert (late.status, late.text) == (
            500,
            "the model did not answer within 0.5 s (SAGEMAKER_MODEL_SERVER_TIMEOUT)\n",
        )
        assert server.invoke("1,2").status == 200


def test_a_model_that_does_not_load_ends_the_server_with_the_reason(tree: Any) -> None:
    (tree.model / "weights").unlink()
    code, last = tree.end_of_serve()
    assert (code, last.partition("weights")[0]) == (1, "the model could not be loaded: "), last


def test_a_worker_whose_model_did_not_load_never_serves(tree: Any) -> None:
    (tree.model / "one-only").touch()
    code, last = tree.end_of_serve(SAGEMAKER_MODEL_SERVER_WORKERS="2")
    assert (code, "the model could not be loaded" in last, "BlockingIOError" in last) == (1, True, True), last


def test_others_serve_on_when_a_worker_cannot_load_its_model_again(tree: Any, serve: Any) -> None:
    with serve(tree, workers=2) as server:
        server.wait_until_it_answers()
        (tree.model / "weights").rename(tree.model / "away")
        server.invoke("1,2", **{ATTRIBUTES: "crash"})
        assert [server.invoke("1,2").status for _ in range(5)] == [200] * 5
        first = worker_of(server)
        (tree.model / "away").rename(tree.model / "weights")
        wait_for(lambda: worker_of(server) != first)
        assert server.stop() == 0


# -- HTTP ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(program: str, make_module_tree: Any, serve_for_module: Any) -> Iterator[Any]:
    tree = make_module_tree(program)
    tree.model.mkdir()
    (tree.model / "weights").write_text("1")
    with serve_for_module(tree, workers=2, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as server:
        server.wait_until_it_answers()
        yield server


def statuses(server: Any, data: bytes) -> list[int]:
    """Of the answers to these bytes, until the server closes or has nothing to add."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answers = b""
        while part := client.recv(2**16):
            answers += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


POST = b"POST /invocations HTTP/1.1\r\nContent-Type: text/csv\r\n"
GOOD = POST + b"Content-Length: 3\r\n\r\n1,2"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (GOOD, [200]),
        (GOOD.replace(b"1.1", b"1.0"), [200]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n1,\r\n1;a=b\r\n2\r\n0\r\nX: y\r\n\r\n", [200]),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", [501]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nab", [400]),
        (POST + b"Content-Length: +3\r\n\r\n1,2", [400]),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n1,2", [400]),
        (POST + b"no colon\r\n\r\n", [400]),
        (POST + b" folded: x\r\n\r\n", [400]),
        (POST + b"X: " + b"x" * 70_000 + b"\r\n\r\n", [431]),
        (b"\x16\x03\x01\r\n\r\n", [400]),
        (b"GET /ping HTTP/1.1\r\n\r\nHEAD /ping HTTP/1.1\r\n\r\n", [200, 200]),
    ],
)
def test_http_is_understood_or_refused(served: Any, data: bytes, expected: list[int]) -> None:
    assert statuses(served, data) == expected


def test_requests_that_come_together_are_answered_in_turn(served: Any) -> None:
    assert statuses(served, GOOD * 5) == [200] * 5


def test_a_client_that_asks_first_is_told_to_go_on(served: Any) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
        client.sendall(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"1,2")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_bodies_that_do_not_fit_together_wait_for_each_other(served: Any) -> None:
    """Sixteen of a mebibyte, where four may be held."""
    rows = b"1,2\n" * (2**18)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: served.invoke(rows, "text/csv", "text/csv"), range(32)))
    assert {(reply.status, reply.body.count(b"\n")) for reply in replies} == {(200, 2**18)}


def test_mutated_requests_harm_nobody(served: Any) -> None:
    chance = random.Random(7)
    requests = [GOOD, POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\n1,2\r\n0\r\n\r\n", b"GET /ping HTTP/1.1\r\n\r\n"]
    for _ in range(300):
        data = bytearray(chance.choice(requests))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.choice([b"", b"\r\n", b"\0", b"\xff", b":", b" ", b"9" * 20])
        assert all(status < 500 or status == 501 for status in statuses(served, bytes(data))), bytes(data)
    assert served.invoke("1,2").status == 200


def test_a_stop_answers_what_is_here_and_takes_no_more(tree: Any, serve: Any) -> None:
    with serve(tree) as server:
        server.wait_until_it_answers()
        idle = http.client.HTTPConnection("127.0.0.1", server.port)
        idle.request("GET", "/ping")
        idle.getresponse().read()
        with busy(tree, server, delay=1.0) as slow:
            waiting = threading.Thread(target=lambda: server.invoke("1,2"))
            waiting.start()
            time.sleep(0.2)
            assert server.stop() == 0
            assert slow.result().status == 200
        waiting.join()
        idle.close()
