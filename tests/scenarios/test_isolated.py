"""A job that is cut off from all networks: its data and its model move all the same."""

from __future__ import annotations

import json
import tarfile

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from tests import built
from tests.scenarios.workspace import Workspace

JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: quiet
version: 1
build: ../own
channels: {train: ../data/train.csv}
network: none
"""
TRAIN = """\
#!/usr/bin/env python3
import json, os, pathlib, socket
data = pathlib.Path("/opt/ml/input/data/train/train.csv").read_text()
try:
    socket.create_connection(("1.1.1.1", 53), 5)
except OSError as error:
    print("outside:", error)
pathlib.Path("/opt/ml/model/model.json").write_text(json.dumps([os.listdir("/sys/class/net"), data]))
"""


@pytest.fixture
def own(workspace: Workspace) -> Workspace:
    folder = workspace.root / "own"
    folder.mkdir()
    (folder / "train").write_text(TRAIN)
    (folder / "train").chmod(0o755)
    image = built.reference("echo") if workspace.runtime == "docker" else "scratch"
    (folder / "Dockerfile").write_text(f'FROM {image}\nCOPY train /usr/bin/train\nENTRYPOINT ["python3"]\n')
    workspace.write(JOB + "entrypoint: [/usr/bin/train]\n" * (workspace.runtime == "docker"))
    return workspace


def test_an_isolated_job_trains_without_a_network_or_is_refused(own: Workspace) -> None:
    if own.runtime == "process":
        for verb in ("plan", "apply"):
            said = own.run(verb, code=1)
            assert "job/quiet@1" in said.stdout + said.stderr
            assert "network: none cannot be had without Docker" in said.stdout + said.stderr
        return
    own.run("apply")
    records = own.records()
    manifest = records.manifests([job_address("quiet", 1)])[job_address("quiet", 1)]
    assert (manifest.status, manifest.key_fields["network"]) == (JobStatus.COMPLETED, "none")
    log = records.store.read(records.job_key(job_address("quiet", 1), "logs/algo-1.log"))
    assert log
    assert b"outside: [Errno 101] Network is unreachable" in log[0]
    interfaces, data = json.loads(archive_of(own))
    assert (interfaces, data) == (["lo"], (own.root / "data" / "train.csv").read_text())


def archive_of(workspace: Workspace) -> bytes:
    records = workspace.records()
    file = workspace.root / "model.tar.gz"
    records.store.download(records.job_key(job_address("quiet", 1), "model.tar.gz"), file)
    with tarfile.open(file) as archive:
        content = archive.extractfile("model.json")
        return content.read() if content else b""
