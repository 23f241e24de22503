"""What people see of a rollout and do to it, beside the run that follows it and without one."""

from __future__ import annotations

import re

from tests.scenarios.rollout.calling import callers, spec
from tests.scenarios.workspace import Workspace, wait_until

SLOW = "strategy: linear, size: 30%, wait: 60s, bake: 2s"


def begun(workspace: Workspace) -> None:
    """A rollout whose first step lasts, left to whoever comes next."""
    workspace.write(spec("old", rollout=SLOW))
    workspace.run("apply")
    workspace.write(spec("new", rollout=SLOW))
    said = workspace.run("apply", "--no-wait").stdout
    assert "1 being rolled out: `sagespec watch` or the next apply continues" in said


def test_status_plan_and_history_tell_of_it_and_promote_ends_it(workspace: Workspace) -> None:
    begun(workspace)
    with callers(workspace, count=2) as found:
        wait_until(lambda: found.of("new") > 10)
        (row,) = workspace.json("status")["endpoints"]
        assert row["state"] == "rolling"
        rollout = row["rollout"]
        assert (rollout["step"], rollout["steps"], rollout["share"], rollout["strategy"]) == (1, 4, 0.3, "linear")
        said = workspace.run("status").stdout
        assert re.search(r"rolling  revision 2, step 1 of 4: 30 % since \d+s, .*; \d+ s until step 2", said), said
        assert re.search(r"rolling +endpoint/answers +1 of 4: 30 %", workspace.run("plan").stdout)
        assert workspace.run("plan", "--exit-code", code=None).returncode == 2
        assert "revision 2 is being rolled out" in workspace.run("compare", "endpoint/answers").stdout
        done = workspace.run("promote", "endpoint/answers", "--reason", "looks good")
        assert "the new revision has all of the traffic" in done.stdout
        found.by.clear()
        wait_until(lambda: found.of("new") > 20)
        assert found.of("old") == 0
    assert found.failed == 0, (found.by, found.lost)
    history = workspace.run("history", "answers").stdout
    assert re.search(r"linear of 4 steps, in step 1 \(30 %\), promoted by .+ on .+: looks good", history), history
    assert workspace.json("apply")["outcomes"] == []


def test_abort_takes_it_back_and_the_next_apply_does_not_try_it_again(workspace: Workspace) -> None:
    begun(workspace)
    with callers(workspace, count=2) as found:
        wait_until(lambda: found.of("new") > 10)
        workspace.run("abort", "answers", "--reason", "callers complain")
        found.by.clear()
        wait_until(lambda: found.of("old") > 20)
        assert found.of("new") == 0
    assert found.failed == 0, (found.by, found.lost)
    assert re.search(r"aborted by .+ on .+: callers complain", workspace.run("history", "answers").stdout)
    refused = workspace.run("apply", code=1).stdout
    assert "aborted by" in refused
    for word in ("promote", "abort"):
        said = workspace.run(word, "answers", code=1).stderr
        assert f"endpoint/answers is not being rolled out, so there is nothing to {word}" in said
        assert "rollback" not in said, "nothing that is live was rolled out"
    assert 'did you mean "answers"' in workspace.run("abort", "answer", code=1).stderr


def test_both_work_beside_the_apply_that_follows_it_which_ends_as_it_does(workspace: Workspace) -> None:
    workspace.write(spec("old", rollout=SLOW))
    workspace.run("apply")
    for word, mark, code in (("promote", "new", 0), ("abort", "newer", 1)):
        workspace.write(spec(mark, rollout=SLOW))
        with workspace.running("apply") as following:
            wait_until(lambda: "answers" in workspace.rollouts())
            workspace.run(word, "answers")
            said = following.communicate(timeout=60)[0]
        assert following.returncode == code, said


def test_python_promotes_and_aborts(workspace: Workspace) -> None:
    begun(workspace)
    with workspace.project() as project:
        rolling = project.endpoint_state("answers").rolling
        assert rolling is not None
        assert project.abort("answers", reason="by hand").ok
        assert project.endpoint_state("answers").rolling is None
        last = project.history("answers")[-1]
        assert last.rollout is not None
        assert last.rollout.ending.value == "aborted"
