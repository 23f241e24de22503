"""A port that another program gets between Envoy's bind and its listen: Envoy answers, and runs on without it.

Two gateways that start at the same moment do that to each other. Here Envoy waits between the two for a FIFO in place
of its routes, and the test is the other program.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sagespec.gateway.gateway import Gateway
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.protocol import PortTaken
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY
from sagespec.state.launches import Launch
from sagespec.state.observed import Container
from sagespec.state.programs import Builtin
from tests.ports import free_port


class Rival(ProcessRuntime):
    """Listens on the port of the first Envoy that it starts, as soon as that has bound it."""

    port: int
    listens: socket.socket | None = None
    feeder: threading.Thread | None = None
    is_over = threading.Event()

    def start(self, name: str) -> Container:
        if self.feeder is None:
            routes = Path(self.base_dir(name)) / "gateway/rds.json"
            content = routes.read_bytes()
            routes.unlink()
            os.mkfifo(routes)
            self.feeder = threading.Thread(target=self._feed, args=(routes, content))
            self.feeder.start()
        return super().start(name)

    def _feed(self, fifo: Path, content: bytes) -> None:
        """Give it its routes when the port is ours. It looks several times whether they are there, from early on."""
        while not self.is_over.wait(0.01):
            with suppress(OSError), open(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "wb") as file:  # noqa: PTH123
                if self.listens is None and is_bound(self.port):
                    self.listens = socket.create_server(("127.0.0.1", self.port))
                if self.listens:
                    file.write(content)

    def leave(self) -> None:
        self.is_over.set()
        if self.feeder:
            self.feeder.join()
        if self.listens:
            self.listens.close()


def is_bound(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@pytest.fixture
def runtime(project_name: str, tmp_path: Path) -> Iterator[Rival]:
    with Rival(project_name, tmp_path, images_dir()) as runtime:
        runtime.port, runtime.is_over = free_port(), threading.Event()
        try:
            yield runtime
        finally:
            runtime.leave()
            for container in runtime.containers():
                runtime.remove(container.name)
            runtime.destroy()


def test_it_does_not_count_as_started_and_starts_again_when_the_port_is_free(runtime: Rival, project_name: str) -> None:
    port = runtime.port
    gateway = Gateway(runtime, project_name, GatewaySettings(host="127.0.0.1", port=port))
    with pytest.raises(PortTaken, match=f"cannot listen on 127.0.0.1:{port}") as raised:
        gateway.start(lambda _event: None)
    assert f"pid {os.getpid()} " in str(raised.value)
    assert not gateway.observe(runtime.containers()).answers
    runtime.leave()
    gateway.start(lambda _event: None)
    assert gateway.observe(runtime.containers()).answers
    socket.create_connection(("127.0.0.1", port)).close()


def test_without_a_port_set_it_gets_another(runtime: Rival, project_name: str) -> None:
    port = runtime.port
    runtime.create([Launch("old", GATEWAY, "1-aa", Builtin("gateway"), "serve", publish=("127.0.0.1", port))])
    gateway = Gateway(runtime, project_name, GatewaySettings())
    assert gateway.find().port == port
    said: list[str] = []
    gateway.start(lambda event: said.append(event.text))
    assert gateway.settings.port != port
    assert any(f"port {port} is taken by pid {os.getpid()}" in text for text in said)
    socket.create_connection(("127.0.0.1", gateway.settings.port)).close()
