"""A model that fails is taken back: few callers see it, what was live never stops, and everybody is told."""

from __future__ import annotations

import time

import pytest

from tests.scenarios.rollout.calling import Answers, callers, spec
from tests.scenarios.workspace import Workspace, wait_until

CANARY = "strategy: canary, size: 10%, wait: 60s, bake: 2s"


def test_a_model_that_fails_is_taken_back_and_told_and_not_tried_again(workspace: Workspace) -> None:
    workspace.write(spec("old", rollout=CANARY, instances=2))
    workspace.run("apply")
    before = _started(workspace)
    workspace.write(spec("new", rollout=CANARY, instances=2, fails=1.0))
    with callers(workspace) as found:
        begun = time.monotonic()
        said = workspace.run("apply", code=1)
        seconds = time.monotonic() - begun
    assert found.lost == {}
    assert found.by.keys() <= {(200, "old"), (424, "new")}, found.by
    assert 0 < found.failed <= 0.15 * sum(found.by.values())
    assert seconds < 60, "long before its step is over"
    assert "revision 2 failed: taken back: errors 100.00 %" in said.stdout
    assert "fix  change the spec, or run `sagespec apply --retry`" in said.stdout
    after = _started(workspace)
    assert after.keys() == before.keys()
    assert all(abs(after[name] - before[name]) < 1 for name in before), "what was live has never stopped"

    assert "taken back: errors 100.00 %" in workspace.run("status").stdout
    history = workspace.run("history", "answers").stdout
    assert "taken back: errors 100.00 %" in history
    assert "in step 1 of 2 (10 %)" in history
    (row,) = workspace.json("history", "answers")["endpoints"]
    assert row["revisions"][-1]["rollout"]["ending"] == "taken_back"
    again = workspace.json("apply", code=1)
    assert again["outcomes"] == [], "the same commit is not tried again"
    assert again["refused"]

    workspace.run("apply", "--retry", code=None)
    (row,) = workspace.json("history", "answers")["endpoints"]
    assert len(row["revisions"]) >= 3


def test_a_model_that_fails_is_taken_back_while_the_specs_are_wrong(workspace: Workspace) -> None:
    """Somebody edits them in the middle, or commits what cannot be read: `watch` judges what has begun all the same."""
    workspace.write(spec("old", rollout=CANARY))
    workspace.run("apply")
    with workspace.running("watch", "--every", "1s"):
        workspace.write(spec("new", rollout=CANARY.replace("20s", "10m"), fails=1.0))
        wait_until(lambda: bool(workspace.rollouts()), 40)
        workspace.write("kind: [", "specs/wrong.yaml")
        time.sleep(3)
        with callers(workspace) as found:
            wait_until(lambda: not workspace.rollouts(), 30)
            found.by.clear()
            _wait_for_answers(found, "old")
            assert found.of("new") == 0
        (workspace.root / "specs/wrong.yaml").unlink()
        wait_until(lambda: len(workspace.containers()) == 2, 30)
    assert "taken back: errors 100.00 %" in workspace.run("history", "answers").stdout


@pytest.mark.slow
def test_no_requests_at_all_advance_and_it_is_said(workspace: Workspace) -> None:
    quick = "strategy: canary, size: 10%, wait: 2s, bake: 2s"
    workspace.write(spec("old", rollout=quick))
    workspace.run("apply")
    workspace.write(spec("new", rollout=quick))
    begun = time.monotonic()
    workspace.run("apply")
    assert time.monotonic() - begun >= 4
    assert "no requests seen" in workspace.run("history", "answers").stdout
    assert len(workspace.containers()) == 2


def test_another_commit_in_the_middle_a_revert_and_a_removal(workspace: Workspace) -> None:
    slow = "strategy: canary, size: 30%, wait: 60s, bake: 2s"
    workspace.write(spec("old", rollout=slow))
    workspace.run("apply")
    with callers(workspace) as found, workspace.running("watch", "--prune", "--allow-empty", "--every", "1s"):
        numbers = []
        for mark in ("first", "second"):
            workspace.write(spec(mark, rollout=slow))
            _wait_for(workspace, mark)
            numbers.append(workspace.rollouts()["answers"].number)
            found.by.clear()
            _wait_for_answers(found, mark, "old")
        assert numbers == [2, 3], "the newer one begins at its first step, as a revision of its own"
        assert found.of("first") == 0
        workspace.write(spec("old", rollout=slow))
        wait_until(lambda: not workspace.rollouts(), 30)
        found.by.clear()
        _wait_for_answers(found, "old")
        assert found.of("second") == 0
        assert found.failed == 0, (found.by, found.lost)
        workspace.write(spec("third", rollout=slow))
        _wait_for(workspace, "third")
        workspace.write("")
        wait_until(lambda: not _serving(workspace), 60)
    endings = [r.rollout.ending.value for r in workspace.records().history("answers") if r.rollout]
    assert endings[:2] == ["cancelled", "cancelled"]


def _started(workspace: Workspace) -> dict[str, float]:
    """When each container was started; an engine's clock is known to some milliseconds."""
    return {c.name: c.started_at.timestamp() for c in workspace.containers() if c.started_at}


def _wait_for(workspace: Workspace, mark: str) -> None:
    wait_until(lambda: _mark(workspace) == mark, 30)


def _wait_for_answers(found: Answers, *marks: str) -> None:
    wait_until(lambda: all(found.of(mark) > 20 for mark in marks), 30)


def _mark(workspace: Workspace) -> str:
    progress = workspace.rollouts().get("answers")
    return str(progress.asked.variants[0].environment["MARK"]) if progress else ""


def _serving(workspace: Workspace) -> bool:
    return any(container.address.kind == "endpoint" for container in workspace.containers())
