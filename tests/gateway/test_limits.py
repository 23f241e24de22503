"""Requests that wait for their turn at the gateway: how many are asked at once, how many wait, what the others hear."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sagespec.state.limits import Limits
from sagespec.state.observed import Route
from tests.gateway.test_gateway import Stand, a_target, open_stand, wait_for
from tests.gateway.test_requests import Reply, ask

PATH = "/endpoints/busy/invocations"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGESPEC_GATEWAY_WORKERS", "1")  # each has a connection to every instance, whatever the limit
        with open_stand("process", "test-limits", tmp_path_factory.mktemp("limits")) as stand:
            yield stand


class Busy:
    """A model that answers nobody before it is let to, takes any number at once, and knows how many it has had."""

    def __init__(self) -> None:
        self.most = self.now = 0
        self.may_answer = threading.Event()
        lock, busy = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    busy.now += 1
                    busy.most = max(busy.most, busy.now)
                busy.may_answer.wait(60)
                with lock:
                    busy.now -= 1
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._handler = Handler

    @contextmanager
    def behind(self, stand: Stand, limits: Limits | None) -> Iterator[None]:
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.places = {"busy-0": ("127.0.0.1", server.server_port)}
            self.route(stand, limits)
            yield
            stand.gateway.set_route("busy", None, {})
            server.shutdown()

    def route(self, stand: Stand, limits: Limits | None) -> None:
        route = Route("busy", (a_target("only", 1, ["busy-0"]),), limits=limits)
        stand.gateway.set_route("busy", route, self.places)


@contextmanager
def asking(stand: Stand, count: int) -> Iterator[list[Future[Reply]]]:
    """So many at once."""
    with ThreadPoolExecutor(count) as pool:
        yield [pool.submit(ask, stand, PATH) for _ in range(count)]


def statuses(asked: list[Future[Reply]]) -> Counter[int]:
    return Counter(one.result().status for one in asked)


def test_without_limits_a_model_gets_each_request_at_once(stand: Stand) -> None:
    busy = Busy()
    with busy.behind(stand, None), asking(stand, 8) as asked:
        wait_for(lambda: busy.now == 8)
        busy.may_answer.set()
        assert statuses(asked) == {200: 8}


def test_what_finds_no_turn_waits_and_is_answered(stand: Stand) -> None:
    busy = Busy()
    with busy.behind(stand, Limits(concurrency=2, queue=20)), asking(stand, 10) as asked:
        wait_for(lambda: busy.now == 2)
        time.sleep(1.0)  # for more to come, if they did
        assert not any(one.done() for one in asked)
        busy.may_answer.set()
        assert statuses(asked) == {200: 10}
    assert busy.most == 2


def test_what_waits_is_counted_apart_from_what_a_model_is_asked(stand: Stand) -> None:
    busy = Busy()

    def now() -> tuple[set[int], set[int]]:
        totals = [one for key, one in stand.gateway.totals().items() if key.endpoint_name == "busy"]
        counters = [one for key, one in stand.gateway.counters().items() if key[0] == "busy"]
        return {one.waiting for one in totals} - {0}, {one.waiting for one in counters} - {0}

    with busy.behind(stand, Limits(concurrency=2, queue=20)), asking(stand, 10) as asked:
        wait_for(lambda: now() == ({8}, {8}))
        busy.may_answer.set()
        assert statuses(asked) == {200: 10}
        wait_for(lambda: now() == (set(), set()))


def test_beyond_the_queue_it_is_said_at_once_and_when_to_come_again(stand: Stand) -> None:
    busy = Busy()
    with busy.behind(stand, Limits(concurrency=2, queue=3)):
        before = sum(totals.overloaded for totals in stand.gateway.totals().values())
        with asking(stand, 2) as first:
            wait_for(lambda: busy.now == 2)
            with asking(stand, 10) as asked:
                wait_for(lambda: sum(one.done() for one in asked) == 5)
                busy.may_answer.set()
                assert statuses(asked) == {200: 5, 503: 5}  # 3 wait, and room for as many as are connected
            assert statuses(first) == {200: 2}
        after = sum(totals.overloaded for totals in stand.gateway.totals().values())
    refused = next(one.result() for one in asked if one.result().status == 503)
    assert (refused.kind, refused.headers["retry-after"]) == ("ServiceUnavailable", "1")
    assert "as many requests waiting as its `limits` allow" in refused.message
    assert after - before == 5


def test_what_the_queue_holds_is_never_refused_however_it_comes(stand: Stand) -> None:
    busy = Busy()
    busy.may_answer.set()
    with busy.behind(stand, Limits(concurrency=4, queue=8)):
        for _ in range(10):
            with asking(stand, 12) as asked:
                assert statuses(asked) == {200: 12}
            time.sleep(0.2)


def test_limits_change_under_load_without_losing_a_request(stand: Stand) -> None:
    busy = Busy()
    busy.may_answer.set()
    with busy.behind(stand, Limits(concurrency=1, queue=100)), ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, stand, PATH) for _ in range(300)]
        for limits in (Limits(2, 100), None, Limits(3, 50)):
            busy.route(stand, limits)
        assert statuses(asked) == {200: 300}


def test_the_table_is_read_back_with_its_limits(stand: Stand) -> None:
    with Busy().behind(stand, Limits(4, 7)):
        route = stand.another_gateway().observe(stand.runtime.containers()).routes["busy"]
    assert route.limits == Limits(4, 7)
