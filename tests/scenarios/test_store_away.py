"""`sagespec watch` while the store is away: what serves is repaired all the same, in both runtimes."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest

from sagespec.records.lease import Lease
from sagespec.records.leases import Leases
from sagespec.state.addresses import job_address
from sagespec.stores.open import open_store
from sagespec.stores.protocol import StoreAway
from tests.contracts.servers import Kind, S3Server, s3_server
from tests.scenarios.conftest import RUNTIMES
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_s3_store import pump
from tests.scenarios.workspace import Workspace, wait_until

pytestmark = pytest.mark.s3

Fault = Literal["", "500", "refuses", "hangs", "garbage"]
ANSWERS = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\nConnection: close\r\n\r\n<html>sign in here</html>",
}


class FaultyStore:
    """A way to an S3 server that has a fault for as long as it is told to."""

    def __init__(self, port: int) -> None:
        self.fault: Fault = ""
        store = self

        class Pass(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(60)
                if store.fault:
                    store.fail(self.request)
                    return
                with socket.create_connection(("127.0.0.1", port)) as server:
                    back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
                    back.start()
                    store.pass_on(self.request, server)
                    back.join()

        self._listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass)
        self._listener.daemon_threads = True
        self._listener.block_on_close = False
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """What the client says, until the store has a fault: then this connection has it, too."""
        try:
            while data := client.recv(65536):
                if self.fault:
                    self.fail(client)
                    break
                server.sendall(data)
        except OSError:
            pass
        server.close()

    def fail(self, client: socket.socket) -> None:
        if self.fault == "refuses":
            client.close()
        elif self.fault == "hangs":
            while self.fault == "hangs":
                time.sleep(0.05)
        else:
            client.recv(65536)
            client.sendall(ANSWERS[self.fault])

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaultyStore]:
    with s3_server("rclone", folder=tmp_path / "s3") as server:
        faulty = FaultyStore(int(server.endpoint.rpartition(":")[2]))
        yield faulty
        faulty.fault = ""
        faulty.close()


@pytest.fixture(params=RUNTIMES)
def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, project_name: str, store: FaultyStore, evidence: Path
) -> Workspace:
    """A project that serves, with its store behind `store`."""
    environment = {**S3Server("rclone", store.url, "acme").environment}
    project = Workspace(tmp_path / "project", project_name, request.param, "s3://acme/models", environment)
    project.write(job(1) + endpoint("only model@1 1"))
    project.run("apply")
    return project


def kill(workspace: Workspace, address: str) -> None:
    """End a container for good: its supervisor too, or by the engine, which then does not start it again."""
    name = workspace.names()[address]
    if workspace.runtime == "docker":
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
        return
    (record,) = workspace.root.rglob(f"{name}/process")
    os.kill(int(record.read_text().split()[0]), signal.SIGKILL)


def answers(workspace: Workspace) -> bool:
    """Asked over HTTP alone: the store is away."""
    url = f"http://127.0.0.1:{workspace.port}/endpoints/answers/invocations"
    request = urllib.request.Request(url, b"1,2", {"Content-Type": "text/csv"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def starts(workspace: Workspace, address: str) -> datetime:
    with workspace.engine() as engine:
        container = engine.inspect(workspace.names()[address])
    assert container
    assert container.started_at
    return container.started_at


@pytest.mark.parametrize("fault", ["500", "refuses", "hangs", "garbage"])
def test_what_died_serves_again_while_the_store_is_away(
    workspace: Workspace, store: FaultyStore, fault: Fault, tmp_path: Path
) -> None:
    lines: list[str] = []
    with workspace.running("watch", "--every", "2s") as watcher:
        reader = threading.Thread(target=lambda: lines.extend(watcher.stdout or ()), daemon=True)
        reader.start()
        wait_until(lambda: bool(list(tmp_path.glob("s3/acme/models/*/active/runs/*.json"))), 60)  # after the first pass
        store.fault = fault
        for victim in ("endpoint/answers/only#0", "gateway"):
            kill(workspace, victim)
        began = time.monotonic()
        wait_until(lambda: not answers(workspace), 5)
        wait_until(lambda: answers(workspace), 20)
        print(f"{fault}: answered after {time.monotonic() - began:.1f} s")
        again = starts(workspace, "endpoint/answers/only#0")
        assert workspace.run("logs", "answers").stdout, "it is the engine that has the logs"
        if fault != "hangs":
            wait_until(lambda: sum("failed " in line for line in lines) == 1, 20)
        store.fault = ""
        workspace.edit("weight: 1", "weight: 2")
        wait_until(lambda: any("settled" in line for line in lines), 60)
        assert answers(workspace)
        assert starts(workspace, "endpoint/answers/only#0") == again, "not once more"
        watcher.send_signal(signal.SIGINT)
        watcher.wait(30)
        reader.join(10)
    said = "".join(lines)
    print(said)
    assert said.count("it is started again") == 2
    assert said.count("failed ") <= 1
    assert ("the store is back after" in said) == ("failed " in said)
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", ["rclone", "moto"])
def test_a_lease_is_held_again_when_the_store_is_back(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server with conditional writes and on one without, after longer than the lease lasts."""
    with s3_server(kind, folder=tmp_path / "s3") as server:
        way = FaultyStore(int(server.endpoint.rpartition(":")[2]))
        server.activate(monkeypatch, AWS_ENDPOINT_URL=way.url)
        leases = [Leases(open_store("s3://acme/models"), "shop", command="apply") for _ in range(2)]
        jobs = [job_address("model", number) for number in (1, 2)]
        with ExitStack() as held:
            following = [held.enter_context(each.follow(job)) for each, job in zip(leases, jobs, strict=True)]
            for lease in following:
                lease.check_now()
                lease.holder = lease.holder.model_copy(update={"lease_seconds": 2.0})
            way.fault = "refuses"
            wait_until(lambda: all(is_refused(lease) for lease in following), 30)
            way.fault = ""
            for lease in following:
                lease.check_now()
            assert leases[0].look().followers.keys() == set(jobs)
        assert leases[0].look().followers == {}
        way.close()


def is_refused(lease: Lease) -> bool:
    try:
        lease.check_now()
    except StoreAway as error:
        return "could not be renewed for 2 s" in str(error) and "when the store answers" in str(error)
    return False
