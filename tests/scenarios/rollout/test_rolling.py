"""A rolling update of four instances, a quarter at a time: never more than five, never fewer than four that serve."""

from __future__ import annotations

import threading

from tests.scenarios.rollout.calling import callers, spec
from tests.scenarios.workspace import Workspace

ROLLING = "strategy: rolling, size: 25%, wait: 2s, bake: 1s"


def test_never_more_than_one_batch_too_many_and_never_too_few_that_serve(workspace: Workspace) -> None:
    workspace.write(spec("old", rollout=ROLLING, instances=4))
    workspace.run("apply")
    over, counts, serving = threading.Event(), set[int](), set[int]()

    def look() -> None:
        with workspace.project() as project:
            while not over.wait(0.1):
                counts.add(sum(c.address.kind == "endpoint" for c in project.parts.runtime.containers()))
                route = project.parts.gateway.observe(project.parts.runtime.containers()).routes["answers"]
                serving.add(sum(len(target.instances) for target in route.targets))

    watcher = threading.Thread(target=look)
    watcher.start()
    workspace.write(spec("new", rollout=ROLLING, instances=4))
    try:
        with callers(workspace) as found:
            workspace.run("apply")
    finally:
        over.set()
        watcher.join()
    assert found.failed == 0, (found.by, found.lost)
    assert max(counts) <= 5, counts
    assert min(serving) >= 4, serving
    assert workspace.records().history("answers")[-1].rollout.steps == 4  # type: ignore[union-attr]
