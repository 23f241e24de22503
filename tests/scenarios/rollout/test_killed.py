"""`apply` killed in each step of a rollout: whoever comes next continues there, and waits for no step twice."""

from __future__ import annotations

import time
from itertools import pairwise

from sagespec.state.progress import Progress
from sagespec.state.rollout import Ending
from tests.scenarios.rollout.calling import callers, spec
from tests.scenarios.workspace import Workspace, wait_until

STEP_SECONDS = 3.0
STEPS = 4
LINEAR = f"strategy: linear, size: 25%, wait: {STEP_SECONDS:g}s, bake: {STEP_SECONDS:g}s"


def step_of(workspace: Workspace) -> Progress | None:
    return workspace.rollouts().get("answers")


def test_apply_killed_in_each_step_is_continued_there(workspace: Workspace) -> None:
    workspace.write(spec("old", rollout=LINEAR))
    workspace.run("apply")
    workspace.write(spec("new", rollout=LINEAR))
    seen: list[Progress] = []
    with callers(workspace) as found:
        for number in range(1, STEPS + 1):
            with workspace.running("apply"):  # killed at the end of the block

                def is_there(wanted: int = number) -> bool:
                    progress = step_of(workspace)
                    return progress is not None and progress.step == wanted

                wait_until(is_there, 30)
                progress = step_of(workspace)
                assert progress is not None
                seen.append(progress)
            found.by.clear()
            time.sleep(0.5)  # nobody works on it, and its share stays
            assert 0.25 * number - 0.15 <= found.share_of("new") <= 0.25 * number + 0.15, (number, found.by)
        workspace.run("apply")
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert len({(progress.number, progress.begun) for progress in seen}) == 1, "one rollout, begun once"
    end = workspace.records().history("answers")[-1].rollout
    assert end is not None
    assert (end.ending, end.begun, end.steps) == (Ending.LIVE, seen[0].begun, STEPS)
    assert found.failed == 0, (found.by, found.lost)
    lasted = [(late.since - early.since).total_seconds() for early, late in pairwise(seen)]
    assert all(seconds >= STEP_SECONDS for seconds in lasted), lasted
    # A step that begins again with each run would last the rest of it and all of it: more than twice as long.
    assert sum(lasted) < 2 * STEP_SECONDS * len(lasted), lasted
