"""What the contract of runtimes is tested with: each runtime with one program that runs a script.

The script is put into the container beforehand; the fake is given a `Behaviour`: what that script would have done.
Tests of what only a real program can see have no Behaviour, and are marked `on_real_engines`. What not every engine can
do is a word of `ABLE`, and its tests are marked `able_to`: a test never asks for a runtime's name.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Builtin
from tests.fakes import Behaviour, FakeEngine

T = TypeVar("T")


WAIT_SECONDS = 90.0


EVERY_BYTE = bytes(range(256))


NOTHING = Behaviour()


FOREVER = Behaviour(lasts=None)


PROBE = """\
#!/usr/bin/env python3
import os, pathlib
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
exec((base / "script.py").read_text(), {"base": base})
"""


DOCKERFILE = """\
FROM {image}
COPY probe/ /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
WORKDIR /
"""


SLEEP = "import time; time.sleep(600)"


SECRETS = {"token": "a-secret-token-0461", "smtp": "a secret password\nof two lines-0462"}


@dataclass
class Bench:
    """A runtime under test, and what makes containers for it. `open` is a runtime for another project; opened: the
    lines that have the same one as `runtime` in another process. published_at: where ports are published."""

    runtime: Runtime
    open: Callable[[str], Runtime]
    project_name: str
    opened: str
    engine: FakeEngine | None = None
    published_at: str = "127.0.0.1"

    def launch(self, name: str = "churn", **fields: Any) -> Launch:
        """A launch for the job `name`, whose container is named after it."""
        address = Address("job", name, 1, instance=0)
        given = Launch(
            name=container_name(self.project_name, address, "1-abc"),
            address=address,
            hash="1-abc",
            program=Builtin("probe"),
            command="train",
            grace_seconds=1.0,
        )
        return replace(given, **fields)

    def create(self, script: str = "", behaviour: Behaviour = NOTHING, **fields: Any) -> str:
        """The name of a new container that will run `script`."""
        launch = self.launch(**fields)
        if self.engine:
            self.engine.behave(launch.name, behaviour)
        self.runtime.create([launch])
        self.runtime.write(launch.name, {"script.py": script.encode()})
        return launch.name

    def run(self, script: str = "", behaviour: Behaviour = NOTHING, **fields: Any) -> str:
        """The name of a container that has run `script` to its end."""
        name = self.start(script, behaviour, **fields)
        self.until(name, ContainerState.EXITED)
        return name

    def start(self, script: str = SLEEP, behaviour: Behaviour = FOREVER, **fields: Any) -> str:
        name = self.create(script, behaviour, **fields)
        self.runtime.start(name)
        return name

    def in_state(self, state: ContainerState) -> str:
        if state is ContainerState.CREATED:
            return self.create()
        return self.start() if state is ContainerState.RUNNING else self.run()

    def inspect(self, name: str) -> Container:
        container = self.runtime.inspect(name)
        assert container is not None
        return container

    def until(self, name: str, state: ContainerState) -> Container:
        return wait_for(lambda: container if (container := self.inspect(name)).state is state else None)

    def file(self, name: str, path: str) -> bytes:
        """Content of a file once the program has written it."""
        return wait_for(lambda: self.runtime.read(name, path))


def wait_for(look: Callable[[], T | None]) -> T:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while (found := look()) is None:
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.02)
    return found


RUNS = "runs programs"
MOUNTS = "shows folders of this machine"
MOUNTS_READ_ONLY = "shows them so that nobody can write there"
TELLS_MEMORY = "tells when memory ran out"
HAS_ITS_GPUS = "chooses among the GPUs of one machine"

ABLE: Mapping[str, frozenset[str]] = {
    "fake": frozenset({MOUNTS}),
    "process": frozenset({RUNS, MOUNTS, TELLS_MEMORY, HAS_ITS_GPUS}),
    "docker": frozenset({RUNS, MOUNTS, MOUNTS_READ_ONLY, TELLS_MEMORY, HAS_ITS_GPUS}),
    "swarm": frozenset({RUNS}),
}
_MARKS = {"docker": pytest.mark.docker, "swarm": pytest.mark.swarm}  # of those that need an engine to be there


def able_to(*words: str) -> pytest.MarkDecorator:
    """On every engine that can do all this."""
    engines = [engine for engine, able in ABLE.items() if able.issuperset(words)]
    assert engines, f"no engine is known that {' and '.join(words)}"
    params = [pytest.param(engine, marks=_MARKS.get(engine, ())) for engine in engines]
    return pytest.mark.parametrize("bench", params, indirect=True)


on_every_engine = able_to()


on_real_engines = able_to(RUNS)


in_every_state = pytest.mark.parametrize(
    "state", [ContainerState.CREATED, ContainerState.RUNNING, ContainerState.EXITED], ids=lambda state: state.value
)


def members(stream: Iterator[bytes]) -> dict[str, bytes]:
    """Name and content of the files in a tar."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]


SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        body = f"{self.command} {self.path}".encode()
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
host = os.environ.get("SAGEMAKER_BIND_TO_HOST", "0.0.0.0")
server = HTTPServer((host, int(os.environ.get("SAGEMAKER_BIND_TO_PORT", 8080))), Handler)
admin = HTTPServer(("127.0.0.1", 0), Handler)
(base / "port.new").write_text(str(admin.server_port))
(base / "port.new").rename(base / "port")
import threading
threading.Thread(target=admin.serve_forever, daemon=True).start()
server.serve_forever()
"""
