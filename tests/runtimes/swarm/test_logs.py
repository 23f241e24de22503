"""Lines of tasks, from a manager that breaks off, falls silent, or cannot reach a node: an HTTP server made up here."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import docker
import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.logs import read_frames
from sagespec.runtimes.swarm import logs
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.logs import service_lines
from sagespec.runtimes.swarm.looks import OneLook
from sagespec.runtimes.swarm.reading import Service

Say = Callable[[bytes], object]
Answer = Callable[[Say, dict[str, str]], object]  # given what was asked for
GRABBING = b"Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream"


def frame(second: int, text: str, stream: int = 1) -> bytes:
    return _framed(b"2026-12-01T12:00:%02d.000000000Z %s\n" % (second, text.encode()), stream)


def _framed(data: bytes, stream: int) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@contextmanager
def manager(answers: dict[str, Answer]) -> Iterator[Cluster]:
    """answers: by task."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            with suppress(OSError):  # nobody listens any more
                answers[url.path.split("/")[-2]](self._say, asked)
                self._say(b"")

        def _say(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    engine = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.44")
    try:
        yield Cluster(engine)
    finally:
        engine.close()
        server.shutdown()
        server.server_close()


def service(*tasks: tuple[str, str, str], lost: str = "") -> Service:
    """tasks: id, state, node."""
    spec = {
        "Name": "ss-acme-1",
        "Labels": {"sagespec.container": "churn", "sagespec.part": "job"},
        "TaskTemplate": {"ForceUpdate": 1},
        "Mode": {"Replicated": {"Replicas": 1}},
    }
    made = [
        {
            "ID": name,
            "NodeID": node,
            "Spec": {"ForceUpdate": 1},
            "Status": {"State": state, "Timestamp": "2026-12-01T12:00:00.5Z"},
        }
        for name, state, node in tasks
    ]
    return Service({"ID": "s1", "Spec": spec}, made, frozenset({lost} - {""}), hostnames={"n2": "second"})


def texts(lines: Iterator[tuple[bytes, str]]) -> list[str]:
    return [line for _, line in lines]


def test_what_the_engine_says_itself_is_no_line() -> None:
    frames = read_frames([frame(1, "one"), _framed(GRABBING, 3)])
    assert next(frames).data == b"one\n"
    with pytest.raises(WorldError, match="incomplete log stream"):
        next(frames)


@pytest.mark.parametrize("end", [b"", _framed(GRABBING, 3)], ids=["ended", "refused"])
def test_a_followed_log_that_breaks_off_is_read_on(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes twice, and the lines of the time between are not missing, while the program still runs."""
    monkeypatch.setattr(logs, "_AGAIN_SECONDS", 0.05)
    printed = [frame(1, "one"), frame(2, "two"), frame(2, "too", 2), frame(9, "three")]
    has_ended, connections = threading.Event(), []

    def answer(say: Say, asked: dict[str, str]) -> None:
        connections.append(asked)
        if len(connections) == 1:
            say(b"".join(printed[:3]) + end)
        elif asked["follow"] == "1":
            say(b"".join(printed))
            has_ended.wait(60)
        else:
            say(b"".join([*printed, frame(10, "last")]))

    def look() -> Service:
        return service(("t1", "complete" if has_ended.is_set() else "running", "n1"))

    with manager({"t1": answer}) as cluster:
        lines = service_lines(cluster, look(), look, follow=True, tail=None)
        assert [next(lines)[1] for _ in range(4)] == ["one", "two", "too", "three"]
        has_ended.set()
        assert texts(lines) == ["last"]
    assert len(connections) == 3


def test_a_log_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ANSWER_SECONDS", 0.5)
    is_done = threading.Event()

    def answer(say: Say, _: dict[str, str]) -> None:
        say(frame(1, "one"))
        is_done.wait(60)

    with manager({"t1": answer}) as cluster:
        found = service(("t1", "running", "n1"))
        with pytest.raises(WorldError, match="has not answered for"):
            texts(service_lines(cluster, found, lambda: found, follow=False, tail=None))
        is_done.set()


@pytest.mark.parametrize("tail", [None, 5])
def test_runs_on_a_lost_node_do_not_hide_the_lines_of_others(tail: int | None) -> None:
    with manager({"t2": lambda say, _: say(frame(1, "one"))}) as cluster:
        found = service(("t1", "failed", "n2"), ("t2", "running", "n1"), lost="n2")
        said = texts(service_lines(cluster, found, lambda: found, follow=False, tail=tail))
        assert said == ["(the log of churn on second cannot be read: its node does not answer)", "one"]
        alone = service(("t1", "failed", "n2"), lost="n2")
        with pytest.raises(WorldError, match="its node does not answer"):
            texts(service_lines(cluster, alone, lambda: alone, follow=False, tail=tail))


def test_one_look_is_enough_for_all_that_ask_at_once() -> None:
    looks: list[float] = []

    def look() -> int:
        looks.append(time.monotonic())
        return len(looks)

    shared, together = OneLook(look, 0.2), threading.Barrier(32)

    def ask() -> list[bool]:
        found = []
        for _ in range(3):
            together.wait(60)
            asked = time.monotonic()
            found.append(looks[shared.now() - 1] >= asked)
        return found

    with ThreadPoolExecutor(32) as pool:
        answers = [future.result() for future in [pool.submit(ask) for _ in range(32)]]
    assert all(map(all, answers)), "nobody is given what was seen before it asked"
    assert len(looks) < 32
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(looks))


def test_a_look_that_fails_fails_for_all_that_wait_for_it() -> None:
    tries: list[int] = []

    def look() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise WorldError("no manager answers")
        return 7

    shared = OneLook(look, 0.0)
    with pytest.raises(WorldError, match="no manager"):
        shared.now()
    assert shared.now() == 7
