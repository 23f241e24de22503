"""The engine dies under a job and comes back: a dockerd of our own, beside the machine's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from tests import built
from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace, wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts a dockerd"),
    pytest.mark.skipif(not (shutil.which("dockerd") and shutil.which("ip")), reason="needs dockerd and ip"),
]


class Engine:
    """A dockerd with folders, socket and bridge of its own, so that its neighbour does not notice."""

    def __init__(self, folder: Path, bridge: str) -> None:
        self.folder = folder
        self.bridge = bridge
        self.address = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "dockerd",
                    f"--data-root={self.folder}/data",
                    f"--exec-root={self.folder}/exec",
                    f"--pidfile={self.folder}/pid",
                    f"--host={self.address}",
                    f"--bridge={self.bridge}",
                    "--iptables=false",
                    "--ip6tables=false",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.command("version", check=False).returncode == 0, 60)

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "-H", self.address, *words], capture_output=True, text=True, check=check)

    def stop(self, number: signal.Signals) -> None:
        """SIGKILL: its containers go on until it starts again, or are killed then. SIGTERM: it ends them."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def running(self) -> str:
        return self.command("ps", "-q", "--filter", "label=sagespec.kind=job", check=False).stdout.strip()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """With the image of the tests, taken over from the machine's engine."""
    folder = Path(tempfile.mkdtemp(prefix="sagespec-", dir="/var/tmp"))  # a socket's path must be short
    bridge = f"ss{os.getpid()}"[:15]
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    subnet = f"10.213.{os.getpid() % 256}.1/24"  # another for each worker
    subprocess.run(["ip", "address", "add", subnet, "dev", bridge], check=True)
    second = Engine(folder, bridge)
    try:
        second.start()
        with subprocess.Popen(["docker", "save", built.reference("echo")], stdout=subprocess.PIPE) as saved:
            load = ["docker", "-H", second.address, "load"]
            subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
        yield second
    finally:
        if second.process is None:
            with suppress(AssertionError):
                second.start()
        for container in second.command("ps", "-aq", check=False).stdout.split():
            second.command("rm", "-f", container, check=False)
        second.command("network", "prune", "-f", check=False)
        second.stop(signal.SIGTERM)
        subprocess.run(["ip", "link", "delete", bridge], check=False)
        time.sleep(1)  # its containerd lets go of the folder
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_outlives_its_engine(
    engine: Engine, number: signal.Signals, tmp_path: Path, project_name: str, evidence: Path
) -> None:
    place = Workspace(tmp_path / "project", project_name, "docker", environment={"DOCKER_HOST": engine.address})
    place.write(job(1, hyperparameters="{epochs: 24, epoch_seconds: 0.5}") + "checkpoints: true\n")

    def keys() -> list[str]:
        return [entry.key for entry in place.records().store.entries()]

    with place.running("apply") as apply:
        wait_until(lambda: any("checkpoints/epoch" in key for key in keys()), 60)
        engine.stop(number)
        time.sleep(2)
        engine.start()
        said, _ = apply.communicate(timeout=150)
    (evidence / "apply.txt").write_text(said)
    shutil.copy(engine.folder / "log", evidence / "dockerd.log")
    assert apply.returncode == 0, said
    assert "attempt 1 of 3: InternalServerError" in said
    manifest = place.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.COMPLETED
    first, last = manifest.attempts
    assert first.reason.startswith("InternalServerError: ")
    assert last.reason == ""
    log = place.records().store.read(place.records().job_key(job_address("model", 1), "logs/algo-1.log"))
    assert log
    lines = log[0].decode().split()
    assert lines[-1] == "epoch=24"
    assert lines[0] != "epoch=1", "it goes on from its checkpoints"
    assert engine.running() == ""
    assert engine.command("ps", "-aq").stdout == ""
