"""HTTP requests to a program from within its container."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from tests.runtimes.docker.probe import until

pytestmark = pytest.mark.docker

SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/chunked":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            self.wfile.write(b"3\\r\\nabc\\r\\n2\\r\\nde\\r\\n0\\r\\n\\r\\n"); return
        body = bytes(range(256)) * 1000 if self.path == "/bytes" else self.command.encode()
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", 9901), Handler).serve_forever()
"""


def test_fetch_brings_every_body_back_byte_by_byte(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    launch = a_server(environment={"SCRIPT": 'exec python3 -c "$SERVER"', "SERVER": SERVER})
    runtime.create([launch])
    with pytest.raises(WorldError, match="is not running"):
        runtime.fetch(launch.name, 9901, ["/"])
    runtime.start(launch.name)
    until(lambda: _fetches(runtime, launch.name))
    assert runtime.fetch(launch.name, 9901, ["/bytes", "/chunked", "/"]) == [bytes(range(256)) * 1000, b"abcde", b"GET"]
    assert runtime.fetch(launch.name, 9901, ["/"], post=True) == [b"POST"]
    assert runtime.fetch(launch.name, 9901, []) == []
    with pytest.raises(WorldError, match=r"answered /none with 404: GET"):
        runtime.fetch(launch.name, 9901, ["/", "/none"])
    with pytest.raises(WorldError, match=r"does not answer on port 9902: /: .*Connection refused"):
        runtime.fetch(launch.name, 9902, ["/"])


def _fetches(runtime: DockerRuntime, name: str) -> bool:
    try:
        return bool(runtime.fetch(name, 9901, ["/"]))
    except WorldError:
        return False
