"""The loop against S3 instead of a directory: store and inputs, on real servers, in both runtimes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.stores.open import open_store
from tests.contracts.servers import S3Server, s3_server
from tests.ports import free_port
from tests.scenarios.conftest import RUNTIMES
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

pytestmark = pytest.mark.s3


@pytest.fixture(params=["rclone", "moto"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(request.param, folder=tmp_path / "s3") as running:
        yield running


@pytest.fixture(params=RUNTIMES)
def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, project_name: str, server: S3Server, evidence: Path
) -> Workspace:
    store, environment = f"{server.uri}/models", dict(server.environment)
    return Workspace(tmp_path / "project", project_name, request.param, store, environment)


def put_input(workspace: Workspace, server: S3Server, parts: int) -> None:
    """The training data as `parts` objects under s3://<bucket>/input/."""
    with workspace.project():
        source = open_store(f"{server.uri}/input")
        for number in range(parts):
            source.write(f"part-{number}.csv", f"1,0.5,0.{number}\n0,0.1,0.9\n".encode())


def test_the_loop_with_everything_in_s3(workspace: Workspace, server: S3Server) -> None:
    put_input(workspace, server, parts=3)
    specs = job(1).replace("../data/train.csv", f"{server.uri}/input/") + job(2)
    workspace.write(specs + endpoint("stable model@1 90", "candidate model@2 10"))
    workspace.run("apply")
    with workspace.project() as project:
        manifest = project.manifest(job_address("model", 1))
        assert manifest.inputs["train"].objects == 3
        assert {f"{project.parts.settings.name}/jobs/model/1/model.tar.gz"} <= {
            e.key for e in project.parts.store.entries()
        }
    assert workspace.invoke("answers", "hello", variant="candidate")[0] == 200
    assert workspace.json("apply")["outcomes"] == []
    workspace.edit("model: model@2", "model: model@1")
    workspace.run("apply")
    workspace.run("rollback", "answers")
    assert "rolled_back" in workspace.run("history", "answers", "--output", "json").stdout


def test_sharded_objects_are_shared_out_among_the_hosts(workspace: Workspace, server: S3Server) -> None:
    put_input(workspace, server, parts=4)
    channel = f"{{source: '{server.uri}/input/', distribution: sharded}}"
    workspace.write(job(1, instances=2).replace("../data/train.csv", channel))
    workspace.run("apply")
    with workspace.project() as project:
        assert project.manifest(job_address("model", 1)).inputs["train"].objects == 4


class Cable:
    """A connection to a server that can be cut: from then on its address refuses."""

    def __init__(self, url: str) -> None:
        self.lead_to(url)
        self.address: tuple[str, int] = ("127.0.0.1", free_port())  # free again while it is cut
        self.open: set[socket.socket] = set()
        self.mend()

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def lead_to(self, url: str) -> None:
        parts = urlsplit(url)
        self.server = (parts.hostname or "", parts.port or 0)

    def mend(self) -> None:
        cable = self

        class Pass(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                cable.open.add(self.request)
                with socket.create_connection(cable.server) as server:
                    back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
                    back.start()
                    pump(self.request, server)
                    back.join()
                cable.open.discard(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.listener = Listener(self.address, Pass)
        self.address = ("127.0.0.1", self.listener.server_address[1])
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()

    def cut(self) -> None:
        self.listener.shutdown()
        self.listener.socket.close()
        for connection in tuple(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_model_is_not_lost_when_the_store_is_gone_at_the_end(
    runtime: str, waits: bool, tmp_path: Path, project_name: str
) -> None:
    """The run waits for the store; where it is told not to, the next one stores the model."""
    with s3_server("rclone", folder=tmp_path / "s3") as server:
        cable = Cable(server.endpoint)
        environment = {**server.environment, "AWS_ENDPOINT_URL": cable.url}
        workspace = Workspace(tmp_path / "project", project_name, runtime, f"{server.uri}/models", environment)
        workspace.write(job(1, hyperparameters="{sleep: 3}") + "checkpoints: true\n")
        with workspace.running("apply") as first:
            wait_until(lambda: any(c.state == "running" for c in workspace.containers()))
            cable.cut()
            cut_at = datetime.now(UTC)
            wait_until(lambda: any(c.state == "exited" for c in workspace.containers()))
            if waits:
                cable.mend()
            else:
                first.send_signal(signal.SIGINT)
            said, _ = first.communicate(timeout=90)
        assert (first.returncode == 0) == waits, said
        assert "Traceback" not in said
        if not waits:
            (kept,) = workspace.containers()
            assert kept.state == "exited"
            cable.mend()
            workspace.run("apply")
        with workspace.project() as project:
            manifest = project.manifest(job_address("model", 1))
        assert manifest.status is JobStatus.COMPLETED
        assert manifest.started_at < cut_at, "the model that was kept is the one that is stored"
        assert len(manifest.attempts) == 1
        assert workspace.containers() == ()
        cable.cut()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_job_outlives_the_server_that_is_killed_while_it_trains(
    runtime: str, tmp_path: Path, project_name: str
) -> None:
    with s3_server("rclone", folder=tmp_path / "s3") as first:
        cable = Cable(first.endpoint)
        environment = {**first.environment, "AWS_ENDPOINT_URL": cable.url}
        workspace = Workspace(tmp_path / "project", project_name, runtime, f"{first.uri}/models", environment)
        workspace.write(job(1, hyperparameters="{sleep: 12}") + "checkpoints: true\n")
        with workspace.running("apply") as apply:
            wait_until(lambda: any(c.state == "running" for c in workspace.containers()))
            os.kill(first.pid, signal.SIGKILL)
            time.sleep(4)  # the lock and the checkpoints ask for it meanwhile
            with s3_server("rclone", folder=tmp_path / "s3") as second:
                cable.lead_to(second.endpoint)
                said, _ = apply.communicate(timeout=90)
                assert apply.returncode == 0, said
                with workspace.project() as project:
                    manifest = project.manifest(job_address("model", 1))
                assert manifest.status is JobStatus.COMPLETED
                assert len(manifest.attempts) == 1
                assert workspace.containers() == ()
        cable.cut()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_a_store_that_refuses_is_told_before_anything_runs(
    tmp_path: Path, project_name: str, changed: dict[str, str], said: str
) -> None:
    with s3_server("rclone", folder=tmp_path / "s3") as server:
        environment = {**server.environment, **changed}
        workspace = Workspace(tmp_path / "project", project_name, "process", f"{server.uri}/models", environment)
        workspace.write(job(1))
        result = workspace.run("apply", code=1, timeout=60)
        assert said in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        assert workspace.containers() == ()
