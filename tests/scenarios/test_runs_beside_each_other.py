"""Runs that overlap, of several checkouts and releases; runs that are interrupted or killed while they follow."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from sagespec.converge import Converged, converge
from sagespec.passes import Run
from sagespec.project import Project
from sagespec.state.addresses import job_address
from sagespec.verbs import apply as verbs
from tests.scenarios.measuring import Sight, sight
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

LOAD_SECONDS = 2.0  # what the test server takes to start, with the 300 ms it must be healthy for
JOB = job_address("model", 1)


def copy_of(workspace: Workspace, name: str) -> Workspace:
    """Another checkout of the project, with the same store; under the process runtime its containers, too."""
    root = workspace.root.parent / name
    (root / ".sagespec").mkdir(parents=True)
    for shared in ("store", "containers"):
        (workspace.root / ".sagespec" / shared).mkdir(parents=True, exist_ok=True)
        (root / ".sagespec" / shared).symlink_to(workspace.root / ".sagespec" / shared)
    shutil.copytree(workspace.root / "data", root / "data")
    return replace(workspace, root=root)


# -- the newer commit counts


def test_the_newer_spec_of_an_endpoint_counts_and_both_runs_end_well(workspace: Workspace) -> None:
    """One waits for its job with an older spec; another applies a newer one, of that endpoint and of one more that
    waits for the first one's job."""
    workspace.write(job(2))
    workspace.run("apply")
    newer = copy_of(workspace, "newer")
    training = job(1, hyperparameters="{sleep: 20}")
    workspace.write(job(2) + training + endpoint("old model@1 1"))
    newer.write(job(2) + training + endpoint("new model@2 1") + endpoint("only model@1 1", name="more"))
    with sight(workspace) as seen, workspace.running("apply") as older:
        wait_until(lambda: seen.is_running(1))
        with newer.running("apply") as later:
            seen.took("the newer spec", lambda: seen.weights() == {"new": 1}, promised=5)
            assert seen.is_running(1)
            said = [run.communicate(timeout=60)[0] for run in (older, later)]
            assert [older.returncode, later.returncode] == [0, 0], said
        assert "endpoint/answers: was given another spec by sagespec apply" in said[0], said[0]
        assert seen.weights() == {"new": 1}
        assert seen.answers("more")
        assert [revision.status.value for revision in workspace.records().history("answers")] == ["live"]
        assert seen.left_at_work() == []


def test_the_end_of_a_destroy_leaves_a_project_that_is_used_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")

    def then_another_applies(run: Run) -> Converged:
        result = converge(run)
        workspace.run("apply")
        return result

    monkeypatch.setattr(verbs, "converge", then_another_applies)
    with Project.open(workspace.root) as project:
        result = project.destroy()
        assert result.ok
        assert result.plan.notes == (verbs.USED_AGAIN,)
        assert project.parts.last_runtime() == workspace.runtime
    with sight(workspace) as seen:
        assert seen.answers()
        workspace.run("destroy", "--yes")
        assert seen.containers() == {}


def test_a_job_pruned_by_another_run_ends_and_is_not_begun_anew(workspace: Workspace) -> None:
    workspace.write(job(2))
    workspace.run("apply")
    newer = copy_of(workspace, "newer")
    workspace.write(job(2) + job(1, hyperparameters="{sleep: 60}") + endpoint("only model@1 1"))
    newer.write(job(2))
    with sight(workspace) as seen, workspace.running("apply") as follower:
        wait_until(lambda: seen.is_running(1))
        with seen.timed("prune of a job that trains", promised=4):
            newer.run("apply", "--prune")
        assert seen.containers() == {}
        said, _ = follower.communicate(timeout=30)
        assert follower.returncode == 1
        assert "removed by sagespec apply" in said, said
        assert seen.containers() == {}
        assert seen.left_at_work() == []


# -- interrupted and killed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("follower", ["watch", "apply"])
def test_a_signal_lets_go_of_everything_at_once(workspace: Workspace, follower: str, number: int) -> None:
    """Of a job that trains and of an instance that is waited for: no lease is kept, no thread keeps the process."""
    workspace.write(job(1) + job(2, hyperparameters="{sleep: 60}"))
    never = 'only model@1 1 environment: {ECHO_START_DELAY: "600"}'
    workspace.edit("---", endpoint(never, rollout="{healthy_within: 10m}") + "---")
    with sight(workspace) as seen, workspace.running(follower) as process:
        wait_until(lambda: seen.is_running(2) and "endpoint/answers/only#0" in seen.containers())
        wait_until(lambda: any(len(run.doing.waits_for) == 2 for run in seen.runs()))
        process.send_signal(number)
        with seen.timed("the end after a signal", promised=2):
            process.communicate(timeout=30)
        assert process.returncode == (130 if follower == "apply" else 0)
        assert seen.followers() == {}
        assert seen.runs() == ()
        assert seen.is_running(2)
        assert list((workspace.root / ".sagespec/tmp").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("followers", [("apply",), ("watch",), ("watch", "apply")])
def test_killed_at_any_moment_the_next_takes_the_job_up(workspace: Workspace, followers: tuple[str, ...]) -> None:
    """Kills by the clock, of whoever follows and of whoever looks on; the job is begun once and ends once."""
    rng = random.Random(11)
    workspace.write(job(1, hyperparameters="{sleep: 4, lines: 3}") + endpoint("only model@1 1"))
    began: set[object] = set()
    for _ in range(12):
        with workspace.running(followers[0]):
            if len(followers) == 2:
                with workspace.running(followers[1]):
                    time.sleep(rng.uniform(0.5, 2.5))
            else:
                time.sleep(rng.uniform(0.5, 2.5))
        with sight(workspace) as seen:
            began |= {seen.began_at(1)} - {None}
    workspace.run("apply")
    with sight(workspace) as seen:
        manifest = workspace.records().manifests([JOB])[JOB]
        assert len(began) <= 1, f"it was begun again: {began}"
        assert len(manifest.attempts) == 1
        assert set(seen.containers()) == {"gateway", "endpoint/answers/only#0"}
        assert seen.answers()
        assert_nothing_left(seen, workspace)


def test_what_an_earlier_release_left_running_is_taken_up(workspace: Workspace) -> None:
    """Its run held the project's lock for as long as the job, and nothing else; what was new since is not there."""
    workspace.write(job(1, hyperparameters="{sleep: 5}") + endpoint("only model@1 1"))
    store = workspace.records().store
    with sight(workspace) as seen:
        with workspace.running("apply") as follower:
            wait_until(lambda: seen.is_running(1))
            (lease,) = (store.read(e.key) for e in store.entries(f"{workspace.name}/active/jobs/"))
            began = seen.began_at(1)
            follower.kill()
            follower.wait()
        for entry in store.entries(f"{workspace.name}/active/"):
            store.delete(entry.key)
        store.delete(f"{workspace.name}/applied.json")
        assert lease
        held = {name: value for name, value in json.loads(lease[0]).items() if name not in ("specs", "doing")}
        store.write(f"{workspace.name}/lock.json", json.dumps(held).encode())
        said = workspace.run("apply").stdout
        assert f"pid {follower.pid}" in said
        assert "took over from" in said
        manifest = workspace.records().manifests([JOB])[JOB]
        assert began
        assert manifest.started_at <= began
        assert seen.answers()
        assert_nothing_left(seen, workspace)


def assert_nothing_left(seen: Sight, workspace: Workspace) -> None:
    assert seen.left_at_work() == []
    assert list((workspace.root / ".sagespec/tmp").iterdir()) == []
    if workspace.runtime == "process":
        assert list((workspace.root / ".sagespec/containers").glob(".gone-*")) == []


# -- slow ways out and in


@pytest.mark.parametrize(
    ("drain_within", "waits_for", "seconds"), [("2m", "requests", 35), ("1s", "to end", 20)], ids=["drain", "grace"]
)
def test_a_request_in_flight_on_a_leaving_instance_holds_up_no_other_endpoint(
    workspace: Workspace, drain_within: str, waits_for: str, seconds: int
) -> None:
    """Neither while it is drained, nor in the grace in which its server answers what it has begun. Its spec may come
    back meanwhile."""
    rollout = f"{{drain_within: {drain_within}, min_healthy: 300ms}}"
    workspace.write(job(1) + endpoint("only model@1 1", rollout=rollout))
    workspace.run("apply")
    with sight(workspace) as seen, workspace.running("watch"), ThreadPoolExecutor() as beside:
        slow = beside.submit(seen.answers, custom_attributes=f"delay={seconds}")
        leaving = seen.containers()["endpoint/answers/only#0"].name
        wait_until(lambda: seen.requests_in_flight(leaving) == 1)
        workspace.edit("name: only, model: model@1", 'name: only, environment: {A: "1"}, model: model@1')
        wait_until(lambda: any(waits_for in what for run in seen.runs() for what in run.doing.waits_for))
        with (workspace.root / "specs/all.yaml").open("a") as specs:
            specs.write(endpoint("only model@1 1", name="other"))
        seen.took("another endpoint", lambda: seen.answers("other"), promised=3 + LOAD_SECONDS)
        assert not slow.done()
        workspace.edit('name: only, environment: {A: "1"}, model: model@1', "name: only, model: model@1")
        assert slow.result(timeout=60)
        wait_until(lambda: len(workspace.records().history("answers")) == 3, 60)
        assert [revision.status.value for revision in workspace.records().history("answers")] == ["live"] * 3
        wait_until(lambda: len(seen.containers()) == 3)
        assert seen.containers()["endpoint/answers/only#0"].name == leaving
        assert seen.answers()
