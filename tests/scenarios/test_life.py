"""What may befall a job while it runs: its container is killed, sagespec is, somebody stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sagespec.parts import Parts
from sagespec.project import Project
from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import ContainerState
from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace, wait_until

JOB = job_address("model", 1)
EPOCHS = job(1, hyperparameters="{epochs: 20, epoch_seconds: 0.5}") + "checkpoints: true\n"


def manifest_of(workspace: Workspace) -> Manifest | None:
    return workspace.records().manifests([JOB]).get(JOB)


def printed(workspace: Workspace) -> str:
    """What the container has printed so far; '' before it runs."""
    with workspace.engine() as engine:
        names = [c.name for c in engine.containers() if c.address.kind == "job" and c.state is ContainerState.RUNNING]
        return "\n".join(line for name in names for line in engine.logs(name))


def kill_container(workspace: Workspace, number: int = signal.SIGKILL) -> None:
    """The program itself, from outside, as the kernel or another person would."""
    (name,) = (c.name for c in workspace.containers() if c.address.kind == "job")
    if workspace.runtime == "docker":
        subprocess.run(["docker", "kill", "-s", str(int(number)), name], check=True, capture_output=True)
        return
    record = json.loads((workspace.root / ".sagespec/containers" / name / "container.json").read_text())
    mark, shim = f"SAGESPEC_CONTAINER_ID={record['id']}".encode(), b"shim.main()"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() and shim not in (folder / "cmdline").read_bytes():
                os.kill(int(folder.name), number)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def epochs_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^epoch=(\d+)$", text, re.MULTILINE)]


def log_of(workspace: Workspace, file: str) -> str:
    found = workspace.records().store.read(workspace.records().job_key(JOB, f"logs/{file}"))
    return found[0].decode() if found else ""


def test_a_job_that_is_killed_twice_goes_on_from_its_checkpoints(workspace: Workspace) -> None:
    workspace.write(EPOCHS)
    with workspace.running("apply") as apply:
        for epoch in (4, 8):
            wait_until(lambda epoch=epoch: f"epoch={epoch}" in printed(workspace).split())  # type: ignore[misc]
            kill_container(workspace)
        output, _ = apply.communicate(timeout=60)
    manifest = manifest_of(workspace)
    assert manifest, output
    assert manifest.status is JobStatus.COMPLETED, manifest.reason
    assert [attempt.reason.partition(":")[0] for attempt in manifest.attempts] == ["InternalServerError"] * 2 + [""]
    logs = [log_of(workspace, file) for file in ("algo-1.1.log", "algo-1.2.log", "algo-1.log")]
    trained = [epoch for log in logs for epoch in epochs_in(log)]
    assert sorted(set(trained)) == list(range(1, 21)), "no epoch is missing"
    assert len(trained) <= 22, f"at most the one under way at each kill is done twice: {trained}"
    assert "attempt 1 of 3: InternalServerError" in output
    entries = workspace.records().store.entries()
    keys = {entry.key.rpartition("/")[2] for entry in entries if "checkpoints/" in entry.key}
    assert keys == {"epoch.18", "epoch.19", "epoch.20"}, "of those that were deleted nothing is left"
    assert workspace.containers() == ()
    assert workspace.json("apply")["outcomes"] == []


def test_sagespec_killed_while_it_copies_checkpoints_tears_none(workspace: Workspace) -> None:
    workspace.write(EPOCHS)
    with workspace.running("apply"):
        wait_until(lambda: any("checkpoints/" in entry.key for entry in workspace.records().store.entries()))
    for entry in workspace.records().store.entries():
        if "checkpoints/" in entry.key:
            number = entry.key.rpartition(".")[2]
            content = workspace.records().store.read(entry.key)
            assert content, entry
            assert content[0].decode() == f"all of epochs 1 to {number}\n"
    kill_container(workspace)  # nobody follows it now
    workspace.run("apply")
    manifest = manifest_of(workspace)
    assert manifest
    assert manifest.status is JobStatus.COMPLETED, manifest.reason
    assert len(manifest.attempts) == 2
    first, last = epochs_in(log_of(workspace, "algo-1.1.log")), epochs_in(log_of(workspace, "algo-1.log"))
    assert last[0] > 1
    assert set(first + last) == set(range(1, 21))


def test_an_algorithm_that_fails_is_not_run_again(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{exit_code: 7, failure: 'ClientError: no labels'}"))
    workspace.run("apply", code=1)
    manifest = manifest_of(workspace)
    assert manifest
    assert (manifest.status, manifest.reason, len(manifest.attempts)) == (JobStatus.FAILED, "ClientError: no labels", 1)


def test_retries_end(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 60}") + "retries: 1\n")
    with workspace.running("apply") as apply:
        for attempt in (1, 2):
            wait_until(lambda: any(c.state is ContainerState.RUNNING for c in workspace.containers()))
            kill_container(workspace)
            if attempt == 1:
                wait_until(lambda: "algo-1.1.log" in str(workspace.records().store.entries()))
                wait_until(lambda: not any(c.exit_code for c in workspace.containers()))
        output, _ = apply.communicate(timeout=60)
    manifest = manifest_of(workspace)
    assert manifest, output
    assert manifest.status is JobStatus.FAILED
    assert manifest.reason.startswith("InternalServerError: algo-1 was ended from outside (SIGKILL)")
    assert len(manifest.attempts) == 2


@pytest.mark.parametrize("followed", [True, False])
def test_stop_ends_a_job_and_keeps_its_model(workspace: Workspace, followed: bool) -> None:
    workspace.write(job(1, hyperparameters="{lines: 1, sleep: 60}"))
    with workspace.running("apply") as apply:
        wait_until(lambda: any(c.state is ContainerState.RUNNING for c in workspace.containers()))
        wait_until(lambda: "line=0" in workspace.run("logs", "model@1").stdout)  # it handles SIGTERM by now
        if not followed:
            apply.kill()
            apply.wait()
        begun = time.monotonic()
        result = workspace.json("stop", "model@1", "--reason", "wrong data")
        assert time.monotonic() - begun < 20
        if followed:
            output, _ = apply.communicate(timeout=20)
            assert "Stopped: asked for by" in output
            assert "not up to date: 1 stopped" in output
            assert apply.returncode == 1
    assert result["status"] == "stopped"
    assert result["reason"].startswith("Stopped: asked for by")
    assert result["reason"].endswith("(wrong data)")
    assert "model" in result["artifacts"]
    assert workspace.containers() == ()
    assert "is not running: it ended" in workspace.run("stop", "model@1", code=1).stderr
    said = workspace.run("apply", code=1).stdout
    assert "a stopped job is not retried automatically\n  fix  `sagespec apply --retry` trains it;" in said
    workspace.edit("sleep: 60", "sleep: 0")
    workspace.run("apply")


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
def test_stop_does_not_run_anew_what_the_other_ended_just_before(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 60}"))
    with workspace.running("apply") as apply:

        class LateForTheLock(Parts):
            def last_runtime(self) -> str:
                if self.runtime_reason:  # the engine is chosen: what asks now is about to take the lock
                    apply.wait()
                return super().last_runtime()

        wait_until(lambda: any(c.state is ContainerState.RUNNING for c in workspace.containers()))
        leave = threading.Event()
        giving_up = threading.Timer(20, leave.set)
        giving_up.start()
        with Project.open(workspace.root) as project:
            project.parts = LateForTheLock(project.root)
            assert project.stop(JOB, cancelled=leave).status is JobStatus.STOPPED
        giving_up.cancel()


def test_what_does_not_run_cannot_be_stopped(workspace: Workspace) -> None:
    workspace.write(job(1))
    assert "is neither running nor queued" in workspace.run("stop", "model@1", code=1).stderr
    assert "there is nothing named modle@1" in workspace.run("stop", "modle@1", code=1).stderr


def test_a_job_that_runs_too_long_is_stopped(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 60}") + "stopping: {max_runtime: 3s}\n")
    workspace.run("apply", code=1)
    manifest = manifest_of(workspace)
    assert manifest
    assert manifest.status is JobStatus.STOPPED
    assert manifest.reason == "MaxRuntimeExceeded: it ran longer than 3 s"
    assert "model" in manifest.artifacts
