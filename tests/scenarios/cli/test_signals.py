"""Signals, the lock and watch: how commands end."""

from __future__ import annotations

import json
import re
import signal

import pytest

from sagespec.cli.signals import Interrupt
from sagespec.events import Event, EventKind
from sagespec.records.lock import project_lock
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until


def test_a_signal_before_anything_began_ends_the_command() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupt(lambda _event: None, ""):
        signal.raise_signal(signal.SIGINT)


def test_the_first_signal_asks_the_run_to_end_and_says_so() -> None:
    told: list[Event] = []
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt(told.append, "Go on like this.") as stop:
        stop.report(Event(EventKind.PLANNED))
        signal.raise_signal(signal.SIGTERM)
        wait_until(lambda: len(told) == 2)
    assert stop.cancelled.is_set()
    assert told[1].text.startswith("stopping: starting nothing new. Go on like this.")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_apply_leaves_its_job_and_releases_the_lock(workspace: Workspace, number: signal.Signals) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 3, lines: 3}"))
    with workspace.running("apply") as process:
        wait_until(lambda: "line=2" in workspace.run("logs", "model", code=None).stdout)
        process.send_signal(number)
        said, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopping: starting nothing new" in said
    assert "`sagespec apply` continues from here" in said
    assert re.search(r"lock +free", workspace.run("doctor", code=None).stdout)
    assert [str(container.address) for container in workspace.containers()] == ["job/model@1#0"]
    assert "picked up: " in workspace.run("plan").stdout
    workspace.run("apply")


def test_a_second_signal_ends_at_once(workspace: Workspace) -> None:
    workspace.write(endpoint("stable model@1 1", rollout="{min_healthy: 20s}") + job(1))
    with workspace.running("apply") as process:
        wait_until(lambda: any(c.address.kind == "endpoint" for c in workspace.containers()))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 130


def test_a_wait_for_the_lock_can_be_given_up(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.project() as project, project_lock(project.parts.store, workspace.name, command="apply"):
        held = workspace.run("apply", code=1)
        assert "the project is locked by sagespec apply of" in held.stderr
        with workspace.running("apply", "--wait", "10m") as process:
            assert process.stdout is not None
            while "waiting for" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130


def test_a_dead_lock_is_shown_and_can_be_broken(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.project() as project, project_lock(project.parts.store, workspace.name, command="apply") as lock:
        assert f"id {lock.holder.id}" in workspace.run("doctor", code=None).stdout
        assert "has id" in workspace.run("unlock", "wrong", code=1).stderr
        assert workspace.json("unlock", lock.holder.id)["unlocked"] == lock.holder.id
    workspace.run("apply")


def test_watch_applies_what_is_edited_and_ends_well(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.running("watch", "--output", "json", "--every", "60") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any('"settled"' in line for line in lines)
        workspace.write(job(1) + job(2))
        assert any('"finished", "about": "job/model@2"' in line for line in lines)
        assert any('"settled"' in line for line in lines)
        process.send_signal(signal.SIGTERM)
        last = json.loads(list(lines)[-1])
        assert process.wait(10) == 0
    assert last == {"event": "result", "ok": True, "stopped": True}
