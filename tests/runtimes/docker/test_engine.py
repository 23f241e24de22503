"""The connection to an engine: here, elsewhere, and not answering."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.choose import choose
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from tests.runtimes.docker.probe import PROBE, a_build, silent, until

pytestmark = pytest.mark.docker


def test_auto_takes_docker_and_says_where(project_name: str, tmp_path: Path) -> None:
    chosen, said = choose("auto", project_name, tmp_path)
    with chosen:
        assert (chosen.name, said.startswith("runtime docker: the engine at ")) == ("docker", True)


class Proxy:
    """A TCP port in front of the engine's socket: a remote engine, as far as a client can tell."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._target)
            back = threading.Thread(target=self._pump, args=(engine, client), daemon=True)
            back.start()
            self._pump(client, engine)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.requests += data.partition(b" ")[0] in (b"GET", b"POST", b"PUT", b"DELETE")
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    socket_path = Path("/var/run/docker.sock")
    if os.environ.get("DOCKER_HOST") or not socket_path.is_socket():
        pytest.skip("the engine does not listen on /var/run/docker.sock")
    proxy = Proxy(str(socket_path))
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.close()


def test_a_remote_engine_does_all_of_it_and_lists_in_one_request(
    remote: Proxy,
    project_name: str,
    images: Path,
    a_job: Callable[..., list[Launch]],
    docker_client: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "train.csv").write_bytes(b"1,2\n" * 1_000_000)
    (launch,) = a_job("mkdir -p /opt/ml/model; cp /opt/ml/input/data/train/train.csv /opt/ml/model; echo done")
    with DockerRuntime(project_name, images) as runtime:
        assert "tcp://127.0.0.1" in runtime.engine
        runtime.prepare(PROBE, silent)
        runtime.create([launch])
        details = docker_client.inspect_container(launch.name)
        assert (details["HostConfig"]["Binds"], details["Mounts"]) == (None, [])
        seen: list[str] = []
        with runtime.events() as events:
            reader = threading.Thread(target=lambda: seen.extend(events))
            reader.start()
            runtime.put(launch.name, "input/data/train", tmp_path)
            runtime.start(launch.name)
            assert list(runtime.logs(launch.name, follow=True)) == ["asked to train", "done"]
            until(lambda: len(seen) == 2)
        reader.join(5)
        assert not reader.is_alive()
        with tarfile.open(fileobj=io.BytesIO(b"".join(runtime.get(launch.name, "model")))) as archive:
            assert archive.extractfile("train.csv").read() == b"1,2\n" * 1_000_000  # type: ignore[union-attr]
        before = remote.requests
        assert len(runtime.containers()) == 1
        assert remote.requests == before + 1
        runtime.remove(launch.name)
        runtime.destroy()


def test_a_remote_engine_builds_a_folder_of_this_machine(
    a_folder: Path, remote: Proxy, project_name: str, images: Path
) -> None:
    with DockerRuntime(project_name, images) as runtime:
        assert "tcp://127.0.0.1" in runtime.engine
        assert runtime.prepare(a_build(a_folder), silent).startswith("sha256:")
    assert remote.requests


def test_an_engine_that_does_not_answer_is_told_from_one_that_refuses(
    monkeypatch: pytest.MonkeyPatch, project_name: str, tmp_path: Path
) -> None:
    with monkeypatch.context() as here:
        here.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        reason = DockerRuntime.answers()
        assert reason == f"no Docker engine answers at unix://{tmp_path}/none.sock: No such file or directory"
        for wanted in ("auto", "docker"):  # who sets DOCKER_HOST means Docker
            with pytest.raises(WorldError, match="no Docker engine answers"):
                choose(wanted, project_name, tmp_path)
