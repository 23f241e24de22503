"""A model that fails while the store is away is taken back within seconds, and that is recorded when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.servers import S3Server, s3_server
from tests.scenarios.rollout.calling import callers, spec
from tests.scenarios.test_store_away import Fault, FaultyStore
from tests.scenarios.workspace import Workspace, wait_until

pytestmark = pytest.mark.s3

CANARY = "strategy: canary, size: 50%, wait: 10m, bake: 2s"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaultyStore]:
    with s3_server("rclone", folder=tmp_path / "s3") as server:
        faulty = FaultyStore(int(server.endpoint.rpartition(":")[2]))
        yield faulty
        faulty.fault = ""
        faulty.close()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "fault"), [("watch", "refuses"), ("watch", "hangs"), ("apply", "refuses")])
def test_a_candidate_that_fails_is_taken_back_while_the_store_is_away(
    command: str, fault: Fault, tmp_path: Path, project_name: str, store: FaultyStore, evidence: Path
) -> None:
    environment = {**S3Server("rclone", store.url, "acme").environment}
    workspace = Workspace(tmp_path / "project", project_name, "process", "s3://acme/models", environment)
    workspace.write(spec("old", rollout=CANARY))
    workspace.run("apply")
    workspace.write(spec("new", rollout=CANARY, fails=1.0))
    lines: list[str] = []
    rollouts = tmp_path / "s3/acme/models" / project_name / "active/rollouts"
    with workspace.running(command) as running:
        threading.Thread(target=lambda: lines.extend(running.stdout or ()), daemon=True).start()
        wait_until(lambda: any("1 of 2: 50 % since" in line for line in lines), 60)
        store.fault = fault
        with callers(workspace) as found:
            began = time.monotonic()
            wait_until(lambda: "it is recorded when the store answers" in "".join(lines), 30)
            print(f"{command}, {fault}: taken back after {time.monotonic() - began:.1f} s")
            found.by.clear()
            wait_until(lambda: found.of("old") > 100, 30)
            assert found.of("new") == 0, found.by
        store.fault = ""
        wait_until(lambda: not (rollouts / "answers.json").exists(), 60)
        if command == "apply":
            assert running.wait(60) == 1
    assert found.lost == {}
    assert "taken back: errors 100.00 %" in workspace.run("history", "answers").stdout
