"""SIGKILL of an apply anywhere: the next one reaches the same end and leaves nothing behind."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import ContainerState
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import REPOSITORY, Workspace

DRIVER = Path(__file__).with_name("killed_apply.py")
JOBS = tuple(job_address("model", version) for version in (1, 2))
FIRST = job(1) + job(2) + endpoint("stable model@1 90", "candidate model@2 10")
EDITED = job(1) + job(2) + endpoint("stable model@2 50", "other model@1 50 instances: 2")
EVENTS = 80  # more than any apply of these specs reports


def apply_and_die(workspace: Workspace, die_at: int) -> int:
    """An apply that dies at its n-th event; its exit code (-9, or 0 when it ended before)."""
    return subprocess.run(
        [sys.executable, str(DRIVER), str(workspace.root), str(die_at)],
        cwd=REPOSITORY,
        env=workspace.env,
        capture_output=True,
        timeout=120,
    ).returncode


class Trainings:
    """Watches that no job is trained to its end twice."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.ended_by: dict[object, float] = {}

    def look(self) -> None:
        """Note the jobs that had ended well by now, in the store or still in their containers."""
        manifests = self.workspace.records().manifests(JOBS)
        ended = {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}
        ended |= {
            container.address.whole
            for container in self.workspace.containers()
            if container.address.kind == "job" and container.state is ContainerState.EXITED
        }
        for address in ended:
            self.ended_by.setdefault(address, time.time())

    def check(self) -> None:
        """Every job that had ended is in the store as it ended then."""
        manifests = self.workspace.records().manifests(JOBS)
        for address, seen_at in self.ended_by.items():
            assert manifests[address].started_at.timestamp() <= seen_at, f"{address} was trained again"  # type: ignore[index]


def assert_settled(workspace: Workspace, addresses: set[str]) -> None:
    """Exactly these containers run, nothing else is left, and there is nothing to do."""
    with workspace.project() as project:
        result = project.apply()
        assert result.ok, (result.plan.text(), result.plan.refused, result.failures)
        again = project.apply()
        assert again.ok
        assert again.outcomes == ()
        containers = project.parts.runtime.containers()
        assert {str(c.address) for c in containers} == addresses
        assert all(c.state is ContainerState.RUNNING for c in containers)
        assert list(project.parts.scratch.iterdir()) == []


SERVED_FIRST = {"gateway", "endpoint/answers/stable#0", "endpoint/answers/candidate#0"}
SERVED_THEN = {"gateway", "endpoint/answers/stable#0", "endpoint/answers/other#0", "endpoint/answers/other#1"}


@pytest.mark.slow(260)
def test_killed_at_every_event_of_a_first_apply_and_of_a_rollout(workspace: Workspace) -> None:
    """Each event once, the next apply going on from there; then the same for an edit of everything."""
    step = 1 if workspace.runtime == "process" else 5
    for die_at in range(1, EVENTS, step):
        workspace.write(FIRST)
        trainings = Trainings(workspace)
        code = apply_and_die(workspace, die_at)
        trainings.look()
        assert_settled(workspace, SERVED_FIRST)
        trainings.check()
        workspace.write(EDITED)
        edited_code = apply_and_die(workspace, die_at)
        assert workspace.invoke("answers", "still served")[0] == 200
        assert_settled(workspace, SERVED_THEN)
        assert workspace.invoke("answers", "still served")[0] == 200
        start_over(workspace)
        if code == 0 and edited_code == 0:
            break
    else:
        pytest.fail(f"an apply reports more than {EVENTS} events: raise EVENTS")


@pytest.mark.slow(230)
def test_killed_at_twenty_random_moments(workspace: Workspace) -> None:
    """Kills by the clock rather than between effects, one after the other in the same project."""
    rng = random.Random(7)
    rounds = 20 if workspace.runtime == "process" else 8
    trainings = Trainings(workspace)
    for number in range(rounds):
        workspace.write(FIRST if number % 2 == 0 else EDITED)
        with workspace.running("apply"):
            time.sleep(rng.uniform(0.2, 3.0))
        trainings.look()
    workspace.write(EDITED)
    assert_settled(workspace, SERVED_THEN)
    trainings.check()


def start_over(workspace: Workspace) -> None:
    """Back to nothing: no containers, an empty store."""
    with workspace.project() as project:
        assert project.destroy().ok
        for entry in project.parts.store.entries():
            project.parts.store.delete(entry.key)
