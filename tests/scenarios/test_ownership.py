"""Whose the files are that a job leaves: run by a user who is not root, on a machine where root may run tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from tests.scenarios.conftest import RUNTIMES
from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace

USER = 21_999  # of no name, as in many containers
SOCKET = Path("/var/run/docker.sock")


class OfAnotherUser(Workspace):
    """Runs the command as USER, who may use the engine's socket through its group.

    The right to read everything stands in for a Python that is installed for all: root's may be in root's home.
    """

    def command(self, *words: str) -> list[str]:
        group = SOCKET.stat().st_gid if SOCKET.exists() else USER
        rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return [
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={group}", *rights),
            *super().command(*words),
        ]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv to leave it")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_files_belong_to_whoever_ran_the_command(runtime: str, tmp_path: Path, project_name: str) -> None:
    home = {"HOME": str(tmp_path / "project"), "PYTHONDONTWRITEBYTECODE": "1"}
    place = OfAnotherUser(tmp_path / "project", project_name, runtime, environment=home)
    place.write(job(1, hyperparameters="{epochs: 2, lines: 1}") + "checkpoints: true\n")
    for path in (place.root, *place.root.rglob("*")):
        os.chown(path, USER, USER)
    place.run("apply")
    manifest = place.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.COMPLETED
    place.run("destroy", "--yes")
    paths = list(place.root.rglob("*"))
    stored = {path.name for path in paths}
    assert {"model.tar.gz", "output.tar.gz", "algo-1.log", "manifest.json", "epoch.2"} <= stored
    assert {str(path): path.lstat().st_uid for path in paths if path.lstat().st_uid != USER} == {}
