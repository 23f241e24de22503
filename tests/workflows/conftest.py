"""A runner with the API it calls, and a world in which something runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld
from tests.workflows.github import Api, Runner
from tests.workflows.plans import JOBS, endpoint


@pytest.fixture
def api() -> Iterator[Api]:
    state = Api()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            assert self.headers["Authorization"] == "Bearer token"
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = state.answer(self.command, self.path, json.loads(content or "{}"))
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = handle_any

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def runner(tmp_path: Path, api: Api) -> Runner:
    return Runner(tmp_path / "runner", api.url)


@pytest.fixture
def applied() -> SimulatedWorld:
    """A world in which two versions are trained and two endpoints serve them."""
    world = SimulatedWorld()
    world.settle(desired_from(*JOBS, endpoint(), endpoint("other")))
    return world
