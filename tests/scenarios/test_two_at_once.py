"""Two applies at once: one works, the other names the holder, or waits for it."""

from __future__ import annotations

from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace, wait_until


def test_the_second_leaves_a_followed_job_alone_and_names_its_follower(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 15}"))
    with workspace.running("apply") as first:
        wait_until(lambda: len(workspace.containers()) == 1)
        second = workspace.json("apply")
        assert second["ok"]
        assert second["outcomes"] == []
        assert f"pid {first.pid}" in second["running"][0]["followed_by"]
        said = workspace.run("apply").stdout
        assert "running  job/model@1  followed by sagespec apply of" in said
        assert said.rstrip().endswith("nothing to do; 1 running elsewhere")
        assert "1 running elsewhere" in workspace.run("plan", "--exit-code").stdout
        status = workspace.json("status")
        assert (status["jobs"][0]["state"], f"pid {first.pid}" in status["jobs"][0]["followed_by"]) == ("running", True)
        (run,) = status["runs"]
        assert (run["command"], run["waits_for"]) == ("apply", ["job/model@1 to end"])
        first.wait(60)
        assert first.returncode == 0
    assert workspace.containers() == ()


def test_ctrl_c_leaves_the_job_running_and_the_next_apply_takes_it_up(workspace: Workspace) -> None:
    import signal

    workspace.write(job(1, hyperparameters="{sleep: 5, lines: 3}"))
    with workspace.running("apply") as first:
        wait_until(lambda: any(c.state == "running" for c in workspace.containers()))
        first.send_signal(signal.SIGINT)
        said, _ = first.communicate(timeout=30)
        assert first.returncode != 0
    assert len(workspace.containers()) == 1
    assert "apply" in said
    plan = workspace.run("plan").stdout
    assert "picked up" in plan
    workspace.run("apply")
    assert "line=2" in workspace.run("logs", "job/model@1").stdout
