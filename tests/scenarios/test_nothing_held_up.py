"""A job that trains holds nothing up: each promise measured while one runs."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scenarios.measuring import sight
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

TRAINED = job(1) + endpoint("stable model@1 90", "other model@1 10")
LONG = "{sleep: 60, lines: 1}"
LOAD_SECONDS = 2.0  # what the test server takes to start, on either runtime, with the 300 ms it must be healthy for


def said_until(process: subprocess.Popen[str], text: str) -> str:
    """What a running command has said, up to the line that holds the text."""
    assert process.stdout
    said = ""
    giving_up = threading.Timer(60, process.kill)
    giving_up.start()
    for line in process.stdout:
        said += line
        if text in line:
            giving_up.cancel()
            return said
    raise AssertionError(f"it ended without: {text}\n{said}")


def begin(workspace: Workspace) -> None:
    """One model trained and served, with a revision to roll back to."""
    workspace.write(TRAINED.replace("weight: 90", "weight: 60"))
    workspace.run("apply")
    workspace.edit("weight: 60", "weight: 90")
    workspace.run("apply")


@pytest.mark.parametrize("follower", ["watch", "apply"])
def test_edits_repairs_and_commands_work_at_once(workspace: Workspace, follower: str) -> None:
    begin(workspace)
    workspace.write(TRAINED + job(2, hyperparameters=LONG) + job(3, hyperparameters=LONG))
    with sight(workspace) as seen, workspace.running(follower):
        wait_until(lambda: seen.is_running(2, 3))
        began = seen.began_at(2)

        def apply_too() -> None:
            if follower == "apply":
                workspace.run("apply")

        workspace.edit("weight: 90", "weight: 30")
        with seen.timed("an edited weight", promised=2 if follower == "watch" else 3):
            apply_too()
            wait_until(lambda: seen.weights() == {"stable": 30, "other": 10})

        victim = seen.containers()["endpoint/answers/stable#0"]
        with workspace.engine() as engine:
            engine.remove(victim.name)
        with seen.timed("a killed instance", promised=5 + LOAD_SECONDS):
            apply_too()
            wait_until(lambda: "endpoint/answers/stable#0" in seen.containers())
            wait_until(lambda: seen.answers(variant="stable"))

        with seen.timed("rollback", promised=3):
            workspace.run("rollback", "answers")
        assert seen.weights() == {"stable": 90, "other": 10}

        other = workspace.root / "other.yaml"
        other.write_text(endpoint("only model@1 1", name="more"))
        with seen.timed("an apply of something else", promised=4 + LOAD_SECONDS):
            workspace.run("apply", "-f", "other.yaml")
        assert seen.answers("more")

        with seen.timed("stop of another job", promised=5):
            workspace.run("stop", "model@3")
        assert seen.is_running(2)
        assert seen.began_at(2) == began


@pytest.mark.parametrize("follower", ["watch", "apply"])
def test_destroy_works_at_once_and_nobody_puts_anything_back(workspace: Workspace, follower: str) -> None:
    begin(workspace)
    limit = "parallel_jobs: 1\n"
    with (workspace.root / "sagespec.yaml").open("a") as settings:
        settings.write(limit)
    workspace.write(TRAINED + job(2, hyperparameters=LONG) + job(3) + endpoint("only model@2 1", name="waiting"))
    words = ["watch", "--every", "1s"] if follower == "watch" else ["apply"]
    with sight(workspace) as seen, workspace.running(*words) as process:
        wait_until(lambda: seen.is_running(2))
        wait_until(lambda: any("job/model@3" in run.doing.queued for run in seen.runs()))
        with seen.timed("destroy", promised=6):
            workspace.run("destroy", "--yes")
        assert seen.containers() == {}
        if follower == "watch":
            told = said_until(process, "was removed by sagespec destroy")
            workspace.write(job(4))
            wait_until(lambda: seen.is_trained(4) and seen.containers() == {})
            process.kill()
        else:
            told, _ = process.communicate(timeout=20)
            assert process.returncode == 1
        assert "removed by sagespec destroy" in told, told
        assert seen.containers() == {}
        assert not seen.is_trained(3)


def test_two_applies_of_a_file_each_follow_their_own_jobs_and_serve_their_own_endpoints(workspace: Workspace) -> None:
    """The second endpoint needs the first one's job too: who follows that reads another file, and will not serve it."""
    first, second = job(1, hyperparameters="{sleep: 6}"), job(2, hyperparameters="{sleep: 3}")
    workspace.write(first + endpoint("only model@1 1"), "specs/a.yaml")
    (workspace.root / "more").mkdir()
    workspace.write(second + first + endpoint("own model@2 1", "other model@1 1", name="more"), "more/b.yaml")
    with sight(workspace) as seen, workspace.running("apply", "-f", "specs/a.yaml") as one:
        wait_until(lambda: seen.is_running(1))
        with workspace.running("apply", "-f", "more/b.yaml") as two:
            wait_until(lambda: len(seen.followers()) == 2)
            followers = sorted(seen.followers().items())
            assert [f"pid {run.pid}" in by for run, (_, by) in zip((one, two), followers, strict=True)] == [True, True]
            said = [run.communicate(timeout=60)[0] for run in (one, two)]
        assert [one.returncode, two.returncode] == [0, 0], said
        assert seen.answers()
        assert seen.answers("more", "own")
        assert seen.answers("more", "other")
        assert seen.left_at_work() == []


def test_a_second_apply_of_a_folder_returns_at_once_with_what_runs(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters=LONG) + endpoint("only model@1 1"))
    with sight(workspace) as seen, workspace.running("apply") as first:
        wait_until(lambda: seen.is_running(1))
        with seen.timed("a second apply", promised=3):
            second = workspace.json("apply")
        assert second["ok"]
        assert second["outcomes"] == []
        assert [running["about"] for running in second["running"]] == ["job/model@1"]
        assert f"pid {first.pid}" in second["running"][0]["followed_by"]


@pytest.mark.parametrize("follower", ["watch", "apply"])
def test_an_endpoint_of_a_trained_model_is_served_while_another_job_trains(workspace: Workspace, follower: str) -> None:
    workspace.write(job(1))
    workspace.run("apply")
    workspace.write(job(1) + job(2, hyperparameters=LONG) + endpoint("only model@1 1"))
    with sight(workspace) as seen, workspace.running(follower):
        wait_until(lambda: seen.is_running(2))
        seen.took("an endpoint of a trained model", seen.answers, promised=3 + LOAD_SECONDS)
        assert seen.is_running(2)


NEVER = 'only model@1 1 environment: {ECHO_START_DELAY: "600"}'


@pytest.mark.parametrize("follower", ["watch", "apply"])
def test_an_instance_that_is_never_healthy_holds_up_nothing(workspace: Workspace, follower: str) -> None:
    """Neither another endpoint nor its own: the mended spec is live at once, and the ended wait is no failure."""
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")
    broken = endpoint(NEVER, rollout="{healthy_within: 10m, min_healthy: 300ms}")
    workspace.write(job(1) + broken)
    with sight(workspace) as seen, workspace.running(follower) as process:
        wait_until(lambda: any("healthy" in what for run in seen.runs() for what in run.doing.waits_for))

        def apply_too() -> None:
            if follower == "apply":
                workspace.run("apply", code=None)

        with ThreadPoolExecutor() as beside:
            workspace.write(job(1) + broken + endpoint("only model@1 1", name="other"))
            beside.submit(apply_too)
            seen.took("another endpoint", lambda: seen.answers("other"), promised=3 + LOAD_SECONDS)
            mended = endpoint('only model@1 1 environment: {ECHO_START_DELAY: "0"}')
            workspace.write(job(1) + mended + endpoint("only model@1 1", name="other"))
            with seen.timed("the mended spec", promised=4 + LOAD_SECONDS):
                apply_too()
                wait_until(lambda: len(workspace.records().history("answers")) == 2)
        if follower == "apply":
            said, _ = process.communicate(timeout=30)
            assert process.returncode == 0, said
        assert [revision.status.value for revision in workspace.records().history("answers")] == ["live", "live"]
        assert set(seen.containers()) == {"gateway", "endpoint/answers/only#0", "endpoint/other/only#0"}
