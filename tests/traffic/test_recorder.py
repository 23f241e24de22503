"""The traffic of a real Envoy over time: known loads come out as known curves, whatever becomes of the gateway."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.gateway.totals import Totals
from sagespec.state.observed import Route
from sagespec.traffic.history import History, Span
from sagespec.traffic.lately import read_lately
from sagespec.traffic.recorder import Recorder
from tests.gateway.test_gateway import Load, Stand, a_target, open_stand, wait_for

CHURN = ("churn", "stable")


@pytest.fixture
def stand(project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand("process", project_name, tmp_path / "engine", invocation_seconds=1.0) as stand:
        stand.serve(a_target("stable", 1, [stand.start("stable")]))
        yield stand


class Watched:
    """A recorder that is made to read, and what it has recorded."""

    def __init__(self, stand: Stand, folder: Path) -> None:
        self.history = History()
        self.file = folder / "traffic.json"
        self.recorder = Recorder(lambda: stand.gateway, self.history, self.file)
        self.stand = stand
        self.recorder.read()

    def span(self, endpoint: str = "churn", variant: str = "stable") -> Span:
        return self.history.span((endpoint, variant), time.time(), 300.0)

    def read_until(self, is_so: Callable[[], bool]) -> None:
        def read() -> bool:
            self.recorder.read()
            return is_so()

        wait_for(read)


@pytest.fixture
def watched(stand: Stand, tmp_path: Path) -> Watched:
    return Watched(stand, tmp_path)


def latencies_of(stand: Stand) -> int:
    return sum(sum(totals.latencies.values()) for totals in stand.gateway.totals().values())


def send(stand: Stand, count: int, **orders: Any) -> None:
    """One after the other, and until Envoy has summed up their latencies, which it does every second."""
    before = latencies_of(stand)
    for _ in range(count):
        stand.invoke(**orders)
    wait_for(lambda: latencies_of(stand) >= before + count)


def test_quantiles_are_of_the_interval_and_not_of_the_gateway_s_life(stand: Stand, watched: Watched) -> None:
    send(stand, 20, delay=0.15)
    watched.read_until(lambda: watched.span().requests == 20)
    slow = watched.span()
    assert 145 < (slow.p50_ms or 0) < 190
    began = time.time()
    send(stand, 50, delay=0.02)
    watched.read_until(lambda: watched.span().requests == 70)
    now = time.time()
    fast = watched.history.span(CHURN, now, now - began)
    assert (fast.requests, fast.failed) == (50, 0)
    assert 18 < (fast.p50_ms or 0) < 60
    life = stand.gateway.counters()["churn", "stable", "1-aa"]
    assert (life.p99_ms or 0) > 145 > (fast.p99_ms or 0)


def test_errors_are_counted_by_what_went_wrong(stand: Stand, watched: Watched) -> None:
    for status in (404, 500, 503, 200):
        stand.invoke(status=status)
    stand.invoke(delay=3)
    with hanging_up(stand):
        stand.invoke(endpoint="rude")
    stand.gateway.set_route("nobody", Route("nobody", (a_target("stable", 1, ["gone"]),)), {})
    assert stand.invoke(endpoint="nobody")["status"] == 503
    assert refused(stand, {"X-Amzn-SageMaker-Target-Variant": "unknown"}) == 400
    assert refused(stand, {"Content-Length": str(25 * 2**20 + 1)}) == 400
    assert stand.invoke(endpoint="unheard-of")["status"] == 400

    def errors(endpoint: str, variant: str) -> dict[str, int]:
        return {kind: count for kind, count in watched.span(endpoint, variant).errors.items() if count}

    watched.read_until(lambda: bool(errors("nobody", "")))
    assert errors("churn", "stable") == {"model_4xx": 1, "model_5xx": 2, "timeouts": 1, "client": 1}
    assert watched.span().requests == 5
    assert errors("rude", "stable") == {"no_answer": 1}
    assert errors("nobody", "") == {"no_instance": 1}
    assert errors("churn", "") == {"client": 1}
    assert {endpoint for endpoint, _ in watched.history.variants()} == {"churn", "rude", "nobody"}


def refused(stand: Stand, headers: dict[str, str]) -> int:
    """The answer to a request's head."""
    connection = http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=20)
    try:
        connection.request("POST", "/endpoints/churn/invocations", None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


class hanging_up:
    """A model behind the endpoint `rude` that hangs up on every request."""

    def __init__(self, stand: Stand) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._stand = stand
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        place = {"rude-0": ("127.0.0.1", self._server.server_port)}
        self._stand.gateway.set_route("rude", Route("rude", (a_target("stable", 1, [*place]),)), place)

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_model_whose_error_is_too_long_to_be_repeated_has_failed_once(stand: Stand, watched: Watched) -> None:
    stand.invoke(status=500, size=3 * 2**20)
    watched.read_until(lambda: watched.span().requests == 1)
    assert watched.span().failed == 1


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "restarted"])
def test_a_gateway_that_begins_at_zero_again_gives_no_negative_and_no_huge_rate(
    is_killed: bool, stand: Stand, watched: Watched
) -> None:
    with Load(stand.settings.port, "churn", callers=2):
        pass
    watched.read_until(lambda: watched.span().requests > 50)
    before = watched.span().requests
    if is_killed:
        stand.kill_envoy()
        wait_for(lambda: begins_at_zero(stand))
    else:
        stand.gateway.start(lambda _event: None, restart=True)
    watched.recorder.read()
    send(stand, 10, status=404)
    watched.read_until(lambda: watched.span().requests > before)
    after = watched.span()
    assert (after.requests, after.errors["model_4xx"]) == (before + 10, 10)
    steps = watched.history.steps(CHURN, time.time(), 60.0, 5.0)
    assert all((step.rate or 0) >= 0 for step in steps)
    assert sum((step.rate or 0) for step in steps) <= before + 10


def begins_at_zero(stand: Stand) -> bool:
    with suppress(WorldError):
        return stand.gateway.totals() == {("churn", "stable", "1-aa"): Totals()}
    return False


def test_a_gateway_that_does_not_answer_is_a_gap(stand: Stand, watched: Watched) -> None:
    stand.runtime.stop(stand.gateway.launch().name, grace_seconds=0)
    recorded = watched.history.recorded_at
    watched.recorder.read()
    assert watched.history.recorded_at == recorded


def found_by_another(file: Path) -> Span:
    found = read_lately(file, time.time())
    assert found is not None
    assert found.of("churn", "idle").requests == 0
    return found.of("churn", "stable")


def test_another_process_reads_the_last_minute(stand: Stand, watched: Watched, tmp_path: Path) -> None:
    send(stand, 7, status=500)
    watched.recorder.read()
    span = found_by_another(watched.file)
    assert (span.requests, span.failed, span.errors["model_5xx"]) == (7, 7, 7)
    assert span.p50_ms is not None
    assert read_lately(watched.file, time.time() + 60) is None
    assert read_lately(tmp_path / "nothing", time.time()) is None


def test_it_reads_in_a_thread_of_its_own_until_it_is_left(stand: Stand, tmp_path: Path) -> None:
    history = History()
    with Recorder(lambda: stand.gateway, history, tmp_path / "traffic.json"):
        wait_for(lambda: history.recorded_at > 0)
        send(stand, 3)
        wait_for(lambda: history.span(CHURN, time.time(), 60.0).requests == 3)
    wait_for(lambda: not any(thread.name == "traffic" for thread in threading.enumerate()))


def test_of_two_recorders_in_one_process_one_records(stand: Stand, tmp_path: Path) -> None:
    history = History()

    def recorder() -> Recorder:
        return Recorder(lambda: stand.gateway, history, tmp_path / "traffic.json")

    with recorder():
        with recorder():
            wait_for(lambda: history.recorded_at > 0)
            send(stand, 3)
            wait_for(lambda: history.span(CHURN, time.time(), 60.0).requests >= 3)
        send(stand, 4)  # the other one continues
        wait_for(lambda: history.span(CHURN, time.time(), 60.0).requests >= 7)
        assert history.span(CHURN, time.time(), 60.0).requests == 7
